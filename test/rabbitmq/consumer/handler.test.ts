import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { WireLog } from '../../helpers/wire-log.js';

const numbers = queue('numbers', z.object({ n: z.number() }));
const classic = queue('classic', z.object({ n: z.number() }), { type: 'classic' });
const upTo = (count: number) => Array.from({ length: count }, (_, n) => ({ n }));

describe('a handler', () => {
  it('gets the message as its sender made it', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const got: unknown[] = [];
    await broker.consumer(numbers, (message) => {
      const { body, id, attempt, redelivered, headers, routingKey, exchange, correlationId, timestamp } =
        message;
      got.push({
        body,
        id,
        attempt,
        redelivered,
        headers: { ...headers },
        routingKey,
        exchange,
        correlationId,
      });
      got.push(timestamp, Buffer.from(message.raw).toString(), message.signal.aborted);
    }).ready;
    const before = Math.floor(Date.now() / 1_000) * 1_000;
    const { messageId } = await broker
      .producer(numbers)
      .send({ n: 7 }, { correlationId: 'request-1', headers: { tenant: 'acme' } });
    await expect.poll(() => got.length).toBe(4);
    expect(got[0]).toEqual({
      body: { n: 7 },
      id: messageId,
      attempt: 1,
      redelivered: false,
      headers: { tenant: 'acme' },
      routingKey: 'numbers',
      exchange: '',
      correlationId: 'request-1',
    });
    expect((got[1] as Date).getTime()).toBeGreaterThanOrEqual(before);
    expect((got[1] as Date).getTime()).toBeLessThanOrEqual(Date.now());
    expect(got.slice(2)).toEqual(['{"n":7}', false]);
  });

  it('has its message acknowledged after its promise resolves, not before', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const wire = WireLog.of(proxy);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    using working = gate();
    let started = 0;
    const consumer = broker.consumer(numbers, () => {
      started++;
      return working.opened;
    });
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => started).toBe(1);
    // A round trip: what was written before it has passed the proxy.
    await broker.stats(numbers);
    expect(wire.of('basic.ack', 'to-server')).toEqual([]);
    expect(consumer.stats).toMatchObject({ inFlight: 1, acked: 0 });

    working.open();
    await expect.poll(() => wire.of('basic.ack', 'to-server').length).toBe(1);
    expect(consumer.stats).toMatchObject({ inFlight: 0, acked: 1 });
    expect(await consumer.close()).toEqual({ clean: true });
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 0 });
  });

  it.each([numbers, classic])(
    'runs for one message at a time, in order, unless told otherwise ($type)',
    async (contract) => {
      await using vhost = await createVhost();
      await using broker = await Broker.connect(vhost.url);
      await broker.producer(contract).sendAll(upTo(100));
      const order: number[] = [];
      let running = 0;
      let most = 0;
      broker.consumer(contract, async ({ body }) => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        order.push(body.n);
        running--;
      });
      await expect.poll(() => order.length).toBe(100);
      expect(order).toEqual(upTo(100).map(({ n }) => n));
      expect(most).toBe(1);
    },
  );

  it('runs for as many messages at once as the concurrency allows', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.producer(numbers).sendAll(upTo(30));
    const started: number[] = [];
    using working = gate();
    const consumer = broker.consumer(
      numbers,
      async ({ body }) => {
        started.push(body.n);
        await working.opened;
      },
      { concurrency: 7, prefetch: 20 },
    );
    await expect.poll(() => consumer.stats).toMatchObject({ inFlight: 7, waiting: 13 });
    expect(started.length).toBe(7);
    working.open();
    await expect.poll(() => consumer.stats).toMatchObject({ acked: 30, inFlight: 0, waiting: 0 });
    expect(started).toEqual(upTo(30).map(({ n }) => n));
  });

  it('that returns at once works as well, also as fast as the server delivers', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.producer(classic).sendAll(upTo(3_000));
    let sum = 0;
    const consumer = broker.consumer(classic, ({ body }) => {
      sum += body.n;
    });
    await expect.poll(() => consumer.stats.acked, { timeout: 10_000 }).toBe(3_000);
    expect(sum).toBe((2_999 * 3_000) / 2);
    await consumer.close();
    await expect.poll(() => broker.stats(classic)).toEqual({ messages: 0, consumers: 0 });
  });
});

describe('several consumers', () => {
  it('share the messages of a queue, each of which goes to one of them', async () => {
    await using vhost = await createVhost();
    await using one = await Broker.connect(vhost.url);
    await using two = await Broker.connect(vhost.url);
    const handled = new Map<string, number[]>();
    const consumers = [one, one, two, two].map((broker, index) => {
      const own: number[] = [];
      handled.set(`${index}`, own);
      return broker.consumer(
        numbers,
        async ({ body }) => {
          own.push(body.n);
          await new Promise((resolve) => setImmediate(resolve));
        },
        { prefetch: 5 },
      );
    });
    await Promise.all(consumers.map(({ ready }) => ready));
    await one.producer(numbers).sendAll(upTo(200));
    await expect.poll(() => [...handled.values()].flat().length).toBe(200);
    expect([...handled.values()].flat().sort((a, b) => a - b)).toEqual(upTo(200).map(({ n }) => n));
    for (const own of handled.values()) expect(own.length).toBeGreaterThan(5);
  });

  it('as many as fifty work in one broker, and all come back after an outage', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => void warnings.push(warning);
    process.on('warning', onWarning);
    await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 10 } });
    const queues = upTo(50).map(({ n }) =>
      queue(`q${n}`, z.object({ n: z.number() }), { type: 'classic', deadLetter: false }),
    );
    const handled: string[] = [];
    const consumers = queues.map((contract) =>
      broker.consumer(contract, ({ body }) => void handled.push(`${contract.name} ${body.n}`)),
    );
    await Promise.all(consumers.map(({ ready }) => ready));
    await Promise.all(queues.map((contract) => broker.producer(contract).send({ n: 1 })));
    await expect.poll(() => handled.length).toBe(50);
    proxy.cutAll();
    await Promise.all(queues.map((contract) => broker.producer(contract).send({ n: 2 })));
    await expect.poll(() => new Set(handled).size, { timeout: 10_000 }).toBe(100);
    expect(proxy.accepted).toBe(4);
    expect(await broker.close()).toEqual({ clean: true });
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });
});
