import { Broker, ClosedError, type Message, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost, queueDepth } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { tagOf, WireLog } from '../../helpers/wire-log.js';

const numbers = queue('numbers', z.object({ n: z.number() }));
type Numbered = Message<{ n: number }>;

/** A broker whose consuming connection is the proxy's first. */
async function through(proxy: TcpProxy, url: string) {
  return Broker.connect(proxy.via(url), { reconnect: { initialDelayMs: 20 } });
}

describe('a consumer whose connection is lost while its handlers run', () => {
  it('aborts their signals, frees their slots and consumes again without waiting for them', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await through(proxy, vhost.url);
    const events = recordEvents(broker);
    using stuck = gate();
    const first: Numbered[] = [];
    const again: Numbered[] = [];
    const consumer = broker.consumer(
      numbers,
      (message) => {
        // Asked for before and after the loss: both have to abort.
        if (message.body.n === 1) void message.signal;
        if (message.redelivered) again.push(message);
        else first.push(message);
        return message.redelivered ? undefined : stuck.opened;
      },
      { concurrency: 2, prefetch: 2 },
    );
    await consumer.ready;
    await broker.producer(numbers).sendAll([{ n: 1 }, { n: 2 }]);
    await expect.poll(() => first.length).toBe(2);
    const cutAt = performance.now();
    proxy.cutAll();

    await expect.poll(() => again.map(({ body }) => body.n).sort()).toEqual([1, 2]);
    expect(performance.now() - cutAt).toBeLessThan(2_000);
    for (const { signal } of first) {
      expect(signal.aborted).toBe(true);
      expect(signal.reason).toBeInstanceOf(ClosedError);
    }
    for (const { signal } of again) expect(signal.aborted).toBe(false);
    expect(events.of('consumer-recovered')).toMatchObject([{ queue: 'numbers' }]);
    expect(events.of('handler-error')).toEqual([]);
    await expect.poll(() => consumer.stats).toMatchObject({ acked: 2, inFlight: 0 });
    stuck.open();
    await expect.poll(() => consumer.stats.stale).toBe(2);
    await consumer.close();
    expect(await queueDepth(vhost.url, 'numbers')).toBe(0);
  });

  it('lets no verdict on an old delivery reach the new channel', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const wire = WireLog.of(proxy);
    await using broker = await through(proxy, vhost.url);
    const events = recordEvents(broker);
    const old: Numbered[] = [];
    using held = gate();
    const consumer = broker.consumer(
      numbers,
      (message) => {
        if (old.length < 4) old.push(message);
        return held.opened;
      },
      { concurrency: 10, prefetch: 10 },
    );
    await consumer.ready;
    const producer = broker.producer(numbers);
    await producer.sendAll([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }]);
    await expect.poll(() => old.length).toBe(4);
    proxy.cutAll();
    // The same tags again, on the new channel: 1, 2, 3, 4.
    await expect.poll(() => events.of('consumer-recovered').length).toBe(1);
    await expect.poll(() => consumer.stats.inFlight).toBe(4);

    const [one, two, three, four] = old as [Numbered, Numbered, Numbered, Numbered];
    expect({
      ack: one.ack(),
      retry: two.retry({ delayMs: 0 }),
      deadLetter: three.deadLetter(),
      requeue: four.requeue(),
    }).toEqual({ ack: false, retry: false, deadLetter: false, requeue: false });
    await broker.stats(numbers);
    const settlements = [
      ...wire.of('basic.ack', 'to-server'),
      ...wire.of('basic.nack'),
      ...wire.of('basic.reject'),
    ];
    expect(settlements.filter(({ direction }) => direction === 'to-server')).toEqual([]);
    expect(consumer.stats.inFlight).toBe(4);

    held.open();
    await expect.poll(() => consumer.stats).toMatchObject({ acked: 4, inFlight: 0 });
    // All on the new channel, up to its last tag, and nothing that the server would close it for.
    await expect.poll(() => wire.of('basic.ack', 'to-server').map(tagOf).at(-1)).toBe(4);
    const acks = wire.of('basic.ack', 'to-server');
    expect(new Set(acks.map(({ connection }) => connection)).size).toBe(1);
    expect(wire.of('channel.close', 'to-client')).toEqual([]);
    await consumer.close();
    expect(await queueDepth(vhost.url, 'numbers')).toBe(0);
    expect(await queueDepth(vhost.url, 'numbers.dead')).toBe(0);
  });

  it('does not run messages that were delivered ahead and are delivered again twice', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await through(proxy, vhost.url);
    using held = gate();
    const runs: number[] = [];
    const consumer = broker.consumer(
      numbers,
      async ({ body }) => {
        runs.push(body.n);
        if (runs.length === 1) await held.opened;
      },
      { prefetch: 10 },
    );
    await consumer.ready;
    await broker.producer(numbers).sendAll(Array.from({ length: 10 }, (_, n) => ({ n })));
    await expect.poll(() => consumer.stats.waiting).toBe(9);
    proxy.cutAll();
    await expect.poll(() => consumer.stats.acked).toBe(10);
    held.open();
    expect(runs.length).toBe(11);
    expect(runs.slice(1).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, n) => n));
  });
});

describe('a message whose acknowledgement was lost with its connection', () => {
  it('is acknowledged when it comes again, without another run', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await through(proxy, vhost.url);
    const events = recordEvents(broker);
    using working = gate();
    const runs: number[] = [];
    const consumer = broker.consumer(
      numbers,
      ({ body }) => {
        runs.push(body.n);
        return working.opened;
      },
      { concurrency: 3 },
    );
    await consumer.ready;
    await broker.producer(numbers).sendAll([{ n: 1 }, { n: 2 }, { n: 3 }]);
    await expect.poll(() => runs.length).toBe(3);
    proxy.blackhole('to-server');
    working.open();
    await expect.poll(() => consumer.stats.acked).toBe(3);
    proxy.cutAll();
    proxy.blackhole(false);

    await expect.poll(() => consumer.stats.recognised).toBe(3);
    expect(runs.toSorted()).toEqual([1, 2, 3]);
    expect(events.of('consumer-recovered').length).toBe(1);
    await consumer.close();
    expect(await queueDepth(vhost.url, 'numbers')).toBe(0);
  });

  it('is acknowledged also when its handler ended after the loss and before it came again', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await through(proxy, vhost.url);
    using working = gate();
    const runs: number[] = [];
    const consumer = broker.consumer(numbers, ({ body }) => {
      runs.push(body.n);
      return working.opened;
    });
    await consumer.ready;
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => runs.length).toBe(1);
    await proxy.refuse(true);
    proxy.cutAll();
    await expect.poll(() => consumer.state.status).toBe('recovering');
    working.open();
    await expect.poll(() => consumer.stats.stale).toBe(1);
    await proxy.refuse(false);
    await expect.poll(() => consumer.stats.recognised, { timeout: 5_000 }).toBe(1);
    expect(runs).toEqual([1]);
  });

  it('is not taken for another one that was sent with the same id and the same body', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await through(proxy, vhost.url);
    const producer = broker.producer(numbers);
    using working = gate();
    let runs = 0;
    const consumer = broker.consumer(numbers, () => {
      runs++;
      return working.opened;
    });
    await consumer.ready;
    await producer.send({ n: 1 }, { messageId: 'same' });
    await expect.poll(() => runs).toBe(1);
    proxy.blackhole('to-server');
    working.open();
    await expect.poll(() => consumer.stats.acked).toBe(1);
    proxy.cutAll();
    proxy.blackhole(false);
    await expect.poll(() => consumer.stats.recognised).toBe(1);
    await producer.send({ n: 1 }, { messageId: 'same' });
    await expect.poll(() => runs).toBe(2);
    expect(consumer.stats).toMatchObject({ recognised: 1 });
  });
});

describe('two messages that were sent with one id', () => {
  it('both run, also when the connection was lost between them', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await through(proxy, vhost.url);
    const events = recordEvents(broker);
    let runs = 0;
    const consumer = broker.consumer(numbers, () => void runs++);
    await consumer.ready;
    await broker.producer(numbers).send({ n: 1 }, { messageId: 'same' });
    await expect.poll(() => consumer.stats.acked).toBe(1);
    // A round trip on the same connection: the acknowledgement has arrived, and nothing comes again.
    await broker.stats(numbers);
    proxy.cutAll();
    await expect.poll(() => events.of('consumer-recovered').length).toBe(1);
    await broker.producer(numbers).send({ n: 1 }, { messageId: 'same' });
    await expect.poll(() => runs).toBe(2);
  });

  it('both run', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const producer = broker.producer(numbers);
    await producer.send({ n: 1 }, { messageId: 'same' });
    await Promise.all([1, 2].map((n) => producer.send({ n }, { messageId: 'same' })));
    const runs: number[] = [];
    const consumer = broker.consumer(numbers, ({ body }) => void runs.push(body.n));
    await expect.poll(() => consumer.stats.acked).toBe(3);
    expect(runs).toEqual([1, 1, 2]);
  });
});
