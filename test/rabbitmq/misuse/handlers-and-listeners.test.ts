import { Broker, type BrokerEvent, type Message, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost, queueCounts, queueDepth } from '../../helpers/server/index.js';
import { SettledVerdicts } from '../../helpers/settled-verdicts.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const numbers = queue('numbers', z.object({ n: z.number() }), { retry: { attempts: 2, initialDelayMs: 0 } });

/** Lets nothing else in this process happen. */
function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

describe('a handler that blocks the whole process past the heartbeat', () => {
  it('costs the connection, and no message', { timeout: 60_000 }, async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url, {
      heartbeatSeconds: 1,
      reconnect: { initialDelayMs: 10 },
    });
    const events = recordEvents(broker);
    const handled = new Set<number>();
    let hasBlocked = false;
    const consumer = broker.consumer(numbers, ({ body }) => {
      if (body.n === 2 && !hasBlocked) {
        hasBlocked = true;
        block(6_000);
      }
      handled.add(body.n);
    });
    await consumer.ready;
    await broker.producer(numbers).sendAll([1, 2, 3, 4].map((n) => ({ n })));
    await expect.poll(() => handled.size, { timeout: 30_000 }).toBe(4);
    await expect.poll(() => events.of('consumer-recovered').length, { timeout: 15_000 }).toBeGreaterThan(0);
    await expect.poll(() => consumer.state.status).toBe('running');
    expect(events.of('disconnected').length).toBe(1);
    expect(events.of('dead-lettered')).toEqual([]);
    await broker.producer(numbers).send({ n: 5 });
    await expect.poll(() => handled.has(5), { timeout: 10_000 }).toBe(true);
    await expect
      .poll(() => queueCounts(vhost.url, 'numbers'), { timeout: 10_000 })
      .toEqual({ messages: 0, consumers: 1 });
  });
});

describe('listeners that throw, reject, and close the broker', () => {
  it('stop nothing: neither messages, nor events, nor the reconnect', { timeout: 30_000 }, async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const broker = new Broker(proxy.via(vhost.url), { reconnect: { initialDelayMs: 10 } });
    const names: BrokerEvent[] = [
      'connected',
      'disconnected',
      'connect-failed',
      'consumer-recovered',
      'invalid-message',
      'handler-error',
      'dead-lettered',
    ];
    for (const name of names) {
      broker.on(name, () => {
        throw new Error(`the listener of ${name}`);
      });
      broker.on(name, (async () => Promise.reject(new Error(`the async listener of ${name}`))) as () => void);
    }
    const events = recordEvents(broker);
    using settled = new SettledVerdicts(numbers.name);
    let runs = 0;
    await broker.consumer(numbers, () => {
      runs++;
      throw new Error('for good');
    }).ready;
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => events.of('dead-lettered').length).toBe(1);
    // The message itself is acknowledged after its event. Without that it would come again.
    await settled.until('dead-letter');
    await broker.stats(numbers);
    proxy.cutAll();
    await expect.poll(() => events.of('consumer-recovered').length, { timeout: 10_000 }).toBe(1);
    await broker.producer(numbers).send({ n: 2 });
    await expect.poll(() => events.of('dead-lettered').length, { timeout: 10_000 }).toBe(2);
    expect(runs).toBe(4);
    expect(await broker.close()).toEqual({ clean: true });
  });

  it('may close it from inside of a handler and of an event, without waiting for themselves forever', async () => {
    await using vhost = await createVhost();
    const broker = await Broker.connect(vhost.url);
    let closed: Promise<{ readonly clean: boolean }> | undefined;
    broker.on('handler-error', () => {
      closed = broker.close({ timeoutMs: 5_000 });
    });
    await broker.consumer(numbers, () => {
      throw new Error('and the listener closes the broker');
    }).ready;
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => closed).toBeDefined();
    await expect(closed).resolves.toEqual({ clean: expect.any(Boolean) });
    expect(broker.state).toEqual({ status: 'closed' });
    // The message is somewhere: to be tried again, or dead.
    const dead = await queueDepth(vhost.url, 'numbers.dead');
    expect(dead + (await queueDepth(vhost.url, 'numbers'))).toBe(1);
  });

  it('may wait for the close in the handler that the close waits for: the deadline ends both', async () => {
    await using vhost = await createVhost();
    const broker = await Broker.connect(vhost.url);
    let outcome: { readonly clean: boolean } | undefined;
    await broker.consumer(numbers, async () => {
      outcome = await broker.close({ timeoutMs: 300 });
    }).ready;
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => outcome, { timeout: 10_000 }).toEqual({ clean: false });
    await expect.poll(() => queueDepth(vhost.url, 'numbers'), { timeout: 10_000 }).toBe(1);
  });
});

describe('verdicts', () => {
  it('count once, and not at all when they come after the end of everything', async () => {
    await using vhost = await createVhost();
    const broker = await Broker.connect(vhost.url);
    const kept: Message<{ n: number }>[] = [];
    const first: boolean[] = [];
    await broker.consumer(numbers, (message) => {
      kept.push(message);
      first.push(message.ack(), message.ack(), message.requeue(), message.retry(), message.deadLetter('no'));
      throw new Error('too late, too');
    }).ready;
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => first).toEqual([true, false, false, false, false]);
    expect(await broker.close()).toEqual({ clean: true });
    const [message] = kept as [Message<{ n: number }>];
    expect({
      ack: message.ack(),
      requeue: message.requeue(),
      retry: message.retry(),
      deadLetter: message.deadLetter(),
    }).toEqual({ ack: false, requeue: false, retry: false, deadLetter: false });
    expect(message.signal.aborted).toBe(false);
    expect(await queueDepth(vhost.url, 'numbers')).toBe(0);
    expect(await queueDepth(vhost.url, 'numbers.dead')).toBe(0);
  });
});
