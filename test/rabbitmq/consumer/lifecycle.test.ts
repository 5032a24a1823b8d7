import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';
import { freePort } from '../../helpers/server/ports.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const numbers = queue('numbers', z.object({ n: z.number() }));
const upTo = (count: number) => Array.from({ length: count }, (_, n) => ({ n }));

describe('a consumer that is paused', () => {
  it('requeues unseen messages, lets its handlers finish, and goes on when resumed', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    using working = gate();
    const handled: number[] = [];
    const consumer = broker.consumer(
      numbers,
      async ({ body }) => {
        if (body.n === 0) await working.opened;
        handled.push(body.n);
      },
      { prefetch: 4 },
    );
    await consumer.ready;
    await broker.producer(numbers).sendAll(upTo(10));
    await expect.poll(() => consumer.stats).toMatchObject({ inFlight: 1, waiting: 3 });

    await consumer.pause();
    await consumer.pause();
    expect(consumer.state).toEqual({ status: 'paused' });
    // A quorum queue counts it as a consumer as long as it has a message.
    await expect.poll(() => broker.stats(numbers)).toMatchObject({ messages: 9 });
    expect(consumer.stats).toMatchObject({ inFlight: 1, waiting: 0 });
    working.open();
    await expect.poll(() => consumer.stats).toMatchObject({ inFlight: 0, acked: 1 });
    expect(handled).toEqual([0]);

    await consumer.resume();
    await consumer.resume();
    expect(consumer.state).toEqual({ status: 'running' });
    await expect.poll(() => handled.toSorted((a, b) => a - b)).toEqual(upTo(10).map(({ n }) => n));
    await consumer.close();
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 0 });
  });

  it('stays paused over an outage, until it is resumed', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 10 } });
    const handled: number[] = [];
    const consumer = broker.consumer(numbers, ({ body }) => void handled.push(body.n));
    await consumer.ready;
    await consumer.pause();
    const events = recordEvents(broker);
    proxy.cutAll();
    await expect.poll(() => events.of('consumer-recovered').length).toBe(1);
    await broker.producer(numbers).send({ n: 1 });
    expect(consumer.state).toEqual({ status: 'paused' });
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 1, consumers: 0 });
    expect(handled).toEqual([]);
    await consumer.resume();
    await expect.poll(() => handled).toEqual([1]);
  });

  it('may be paused and resumed while it starts or recovers', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = new Broker(proxy.via(vhost.url), { reconnect: { initialDelayMs: 10 } });
    const handled: number[] = [];
    const consumer = broker.consumer(numbers, ({ body }) => void handled.push(body.n));
    await consumer.pause();
    await broker.producer(numbers).send({ n: 1 });
    await consumer.ready;
    expect(consumer.state).toEqual({ status: 'paused' });
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 1, consumers: 0 });
    await proxy.refuse(true);
    proxy.cutAll();
    await expect.poll(() => consumer.state.status).toBe('recovering');
    await consumer.resume();
    await proxy.refuse(false);
    await expect.poll(() => handled, { timeout: 5_000 }).toEqual([1]);
  });

  it('does not start its handlers for messages that were on their way', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    const handled: number[] = [];
    const consumer = broker.consumer(numbers, ({ body }) => void handled.push(body.n));
    await consumer.ready;
    await using sender = await Broker.connect(vhost.url);
    proxy.blackhole('to-client');
    await sender.producer(numbers).sendAll(upTo(5));
    const paused = consumer.pause();
    proxy.blackhole(false);
    await paused;
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 5, consumers: 0 });
    expect(handled).toEqual([]);
  });
});

describe('a consumer that is closed', () => {
  it('requeues unseen messages at once, while its handlers finish', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    using working = gate();
    const started: number[] = [];
    const consumer = broker.consumer(
      numbers,
      ({ body, signal }) => {
        started.push(body.n);
        return working.opened.then(() => expect(signal.aborted).toBe(false));
      },
      { prefetch: 10, concurrency: 2 },
    );
    await consumer.ready;
    await broker.producer(numbers).sendAll(upTo(10));
    await expect.poll(() => consumer.stats.waiting).toBe(8);

    const closed = consumer.close();
    expect(consumer.close({ timeoutMs: 0 })).toBe(closed);
    expect(consumer.state).toEqual({ status: 'closing' });
    const others: number[] = [];
    const next = broker.consumer(numbers, ({ body }) => void others.push(body.n));
    await expect.poll(() => others.toSorted()).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
    expect(started).toEqual([0, 1]);
    working.open();
    expect(await closed).toEqual({ clean: true });
    expect(await consumer.closed).toBeUndefined();
    expect(consumer.state).toEqual({ status: 'closed' });
    await next.close();
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 0 });
  });

  it('aborts the handlers that are still at work at its deadline, and their messages go to others', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    using stuck = gate();
    const signals: AbortSignal[] = [];
    const consumer = broker.consumer(numbers, ({ signal }) => {
      signals.push(signal);
      return stuck.opened;
    });
    await consumer.ready;
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => signals.length).toBe(1);
    const startedAt = performance.now();
    expect(await consumer.close({ timeoutMs: 200 })).toEqual({ clean: false });
    expect(performance.now() - startedAt).toBeLessThan(1_500);
    expect(signals[0]?.aborted).toBe(true);
    const handled: number[] = [];
    broker.consumer(numbers, ({ body }) => void handled.push(body.n));
    await expect.poll(() => handled).toEqual([1]);
    stuck.open();
  });

  it('leaves messages that wait for their next attempt on the server', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const patient = queue('patient', z.object({ n: z.number() }), {
      retry: { initialDelayMs: 1_000, jitter: false },
    });
    const consumer = broker.consumer(patient, () => {
      throw new Error('not now');
    });
    await broker.producer(patient).send({ n: 1 });
    await expect.poll(() => consumer.stats.retried).toBe(1);
    expect(await consumer.close()).toEqual({ clean: true });
    await expect.poll(() => broker.stats(patient)).toEqual({ messages: 0, consumers: 0 });
    const attempts: number[] = [];
    broker.consumer(patient, ({ attempt }) => void attempts.push(attempt));
    await expect.poll(() => attempts, { timeout: 10_000 }).toEqual([2]);
  });

  it('may be closed by its own handler', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const handled: number[] = [];
    const consumer = broker.consumer(numbers, ({ body }) => {
      handled.push(body.n);
      void consumer.close();
    });
    await consumer.ready;
    await broker.producer(numbers).sendAll(upTo(3));
    expect(await consumer.closed).toBeUndefined();
    expect(handled).toEqual([0]);
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 2, consumers: 0 });
  });

  it('before it started says so', async () => {
    await using broker = new Broker(`amqp://127.0.0.1:${await freePort()}`);
    const consumer = broker.consumer(numbers, () => undefined);
    expect(await consumer.close()).toEqual({ clean: true });
    await expect(consumer.ready).rejects.toMatchObject({ code: 'CLOSED' });
    expect(await consumer.closed).toBeUndefined();
  });

  it('closes itself at the end of its block', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    {
      await using consumer = broker.consumer(numbers, () => undefined);
      await consumer.ready;
      await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 1 });
    }
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 0 });
  });
});

describe('a consumer that cannot start', () => {
  it('rejects ready, resolves closed with the reason, and makes no noise when neither is awaited', async () => {
    await using broker = new Broker(`amqp://127.0.0.1:${await freePort()}`, { startupTimeoutMs: 100 });
    const consumer = broker.consumer(numbers, () => undefined);
    const unheard = broker.consumer(numbers, () => undefined);
    await expect(consumer.ready).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    expect(await consumer.closed).toMatchObject({ code: 'CONNECTION_FAILED' });
    expect(await unheard.closed).toMatchObject({ code: 'CONNECTION_FAILED' });
    expect(consumer.state).toMatchObject({ status: 'closed', error: { code: 'CONNECTION_FAILED' } });
    expect(await consumer.close()).toEqual({ clean: false });
  });

  it('for want of the right to read says so', async () => {
    await using vhost = await createVhost();
    const user = `user-${vhost.name}`;
    await vhost.management.createUser(user, 'secret', {
      configure: '.*',
      write: '.*',
      read: '^(?!numbers$)',
    });
    try {
      await using broker = await Broker.connect(vhost.url.replace('guest:guest@', `${user}:secret@`));
      const unbound = queue('numbers', z.object({ n: z.number() }), { deadLetter: false });
      const consumer = broker.consumer(unbound, () => undefined);
      await expect(consumer.ready).rejects.toMatchObject({ name: 'TopologyError', code: 'ACCESS_REFUSED' });
      expect(await consumer.closed).toMatchObject({ code: 'ACCESS_REFUSED' });
    } finally {
      await vhost.management.deleteUser(user);
    }
  });
});
