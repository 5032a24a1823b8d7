import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost, queueCounts, queueDepth } from '../../helpers/server/index.js';

const numbers = queue('numbers', z.object({ n: z.number() }));
const others = queue('others', z.object({ n: z.number() }));

describe('closing a broker', () => {
  it('is clean, gives the same promise each time, and is not an outage', async () => {
    await using vhost = await createVhost();
    const broker = await Broker.connect(vhost.url);
    const events = recordEvents(broker);
    await broker.consumer(numbers, () => undefined).ready;
    await broker.producer(numbers).send({ n: 1 });
    const closed = broker.close();
    expect(broker.close({ timeoutMs: 1 })).toBe(closed);
    expect(broker.state).toEqual({ status: 'closing' });
    expect(await closed).toEqual({ clean: true });
    expect(broker.close()).toBe(closed);
    expect(broker.state).toEqual({ status: 'closed' });
    expect(events.names).toEqual([]);
  });

  it('is clean when there was nothing to close', async () => {
    expect(await new Broker().close()).toEqual({ clean: true });
    await using vhost = await createVhost();
    const broker = new Broker(vhost.url);
    broker.producer(numbers);
    expect(await broker.close()).toEqual({ clean: true });
    await expect(broker.connect()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('settles every pending send first', async () => {
    await using vhost = await createVhost();
    const broker = await Broker.connect(vhost.url);
    const producer = broker.producer(numbers, { maxInFlight: 50 });
    const sends = Array.from({ length: 500 }, (_, n) => producer.send({ n }));
    expect(await broker.close()).toEqual({ clean: true });
    expect(producer.pending).toBe(0);
    const outcomes = await Promise.allSettled(sends);
    expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBe(500);
    await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(500);
  });

  it('settles the sends that were made before the first connection', async () => {
    await using vhost = await createVhost();
    const broker = new Broker(vhost.url);
    const sent = broker.producer(numbers).send({ n: 1 });
    expect(await broker.close()).toEqual({ clean: true });
    await expect(sent).resolves.toMatchObject({ messageId: expect.any(String) });
  });

  it('lets running handlers end, what they send included, and acknowledges their messages', async () => {
    await using vhost = await createVhost();
    const broker = await Broker.connect(vhost.url);
    using working = gate();
    const producer = broker.producer(others);
    const started: number[] = [];
    await broker.consumer(
      numbers,
      async ({ body, signal }) => {
        started.push(body.n);
        await working.opened;
        expect(signal.aborted).toBe(false);
        await producer.send({ n: 10 * body.n });
      },
      { concurrency: 2, prefetch: 10 },
    ).ready;
    await broker.producer(numbers).sendAll([1, 2, 3, 4, 5].map((n) => ({ n })));
    await expect.poll(() => started).toEqual([1, 2]);

    let isClosed = false;
    const closed = broker.close().finally(() => {
      isClosed = true;
    });
    // Unseen messages are requeued before the handlers have finished.
    await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(3);
    expect(isClosed).toBe(false);
    working.open();
    expect(await closed).toEqual({ clean: true });
    expect(started).toEqual([1, 2]);
    await expect.poll(() => queueCounts(vhost.url, 'numbers')).toEqual({ messages: 3, consumers: 0 });
    await expect.poll(() => queueDepth(vhost.url, 'others')).toBe(2);
  });

  it('gives up on a stuck handler at its deadline: aborts its signal, and its message is delivered again', async () => {
    await using vhost = await createVhost();
    const broker = await Broker.connect(vhost.url);
    const signals: AbortSignal[] = [];
    using late = gate();
    let lateVerdict: boolean | undefined;
    await broker.consumer(numbers, async (message) => {
      signals.push(message.signal);
      await late.opened;
      lateVerdict = message.ack();
    }).ready;
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => signals.length).toBe(1);

    const startedAt = performance.now();
    expect(await broker.close({ timeoutMs: 300 })).toEqual({ clean: false });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    expect(signals[0]?.aborted).toBe(true);
    expect(broker.state).toEqual({ status: 'closed' });

    await using next = await Broker.connect(vhost.url);
    const redelivered: unknown[] = [];
    next.consumer(numbers, ({ body, redelivered: again }) => void redelivered.push([body, again]));
    await expect.poll(() => redelivered).toEqual([[{ n: 1 }, true]]);
    late.open();
    await expect.poll(() => lateVerdict).toBe(false);
  });

  it('ends its wait when its signal aborts', async () => {
    await using vhost = await createVhost();
    const broker = await Broker.connect(vhost.url);
    const started: number[] = [];
    using stuck = gate();
    await broker.consumer(numbers, ({ body }) => {
      started.push(body.n);
      return stuck.opened;
    }).ready;
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => started).toEqual([1]);
    const abort = new AbortController();
    const closed = broker.close({ signal: abort.signal });
    abort.abort();
    expect(await closed).toEqual({ clean: false });
    stuck.open();
  });

  it('is what aborting the signal of its options does', async () => {
    await using vhost = await createVhost();
    const abort = new AbortController();
    const broker = await Broker.connect(vhost.url, { signal: abort.signal });
    const consumer = broker.consumer(numbers, () => undefined);
    await consumer.ready;
    abort.abort();
    expect(['closing', 'closed']).toContain(broker.state.status);
    await broker.close();
    expect(broker.state).toEqual({ status: 'closed' });
    expect(await consumer.closed).toBeUndefined();
  });

  it('leaves no request to the server unanswered behind', async () => {
    await using vhost = await createVhost();
    const broker = await Broker.connect(vhost.url);
    const consumer = broker.consumer(numbers, () => undefined);
    await consumer.ready;
    const startedAt = performance.now();
    await broker.close({ timeoutMs: 0 });
    expect(await consumer.closed).toBeUndefined();
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });

  it('closes its consumers and producers, and nothing can be begun afterwards', async () => {
    await using vhost = await createVhost();
    const broker = await Broker.connect(vhost.url);
    const producer = broker.producer(numbers);
    const consumer = broker.consumer(numbers, () => undefined);
    await consumer.ready;
    await broker.close();
    expect(await consumer.closed).toBeUndefined();
    expect(consumer.state.status).toBe('closed');
    await expect(producer.send({ n: 1 })).rejects.toMatchObject({ code: 'CLOSED', maybeDelivered: false });
    await expect(broker.producer(numbers).send({ n: 1 })).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(broker.consumer(numbers, () => undefined).ready).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(broker.declare(numbers)).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(broker.stats(numbers)).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(broker.consumer(numbers)[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'CLOSED',
    });
  });
});
