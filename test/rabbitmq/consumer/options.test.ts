import { Broker, ConfigurationError, queue, TimeoutError } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { otherClient } from '../../helpers/other-client.js';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';

const number = z.object({ n: z.number() });
const quorum = queue('numbers', number);
const classic = queue('numbers', number, { type: 'classic', deadLetter: false });

describe('handlerTimeoutMs', () => {
  it('aborts a handler that takes longer, frees its slot, and its message goes the way of a failure', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const events = recordEvents(broker);
    const numbers = queue('numbers', number, { retry: { attempts: 2, initialDelayMs: 5, jitter: false } });
    using stuck = gate();
    const signals: AbortSignal[] = [];
    const runs: number[] = [];
    const consumer = broker.consumer(
      numbers,
      async ({ body, signal }) => {
        runs.push(body.n);
        if (body.n !== 1) return;
        signals.push(signal);
        await stuck.opened;
      },
      { handlerTimeoutMs: 150 },
    );
    const startedAt = performance.now();
    await broker.producer(numbers).sendAll([{ n: 1 }, { n: 2 }]);
    const dead = await other.take('numbers.dead');
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(300);
    expect(dead.properties.headers).toMatchObject({
      'leveret-error': expect.stringMatching(/^TIMEOUT: .*150 ms/),
      'leveret-attempt': 2,
    });
    // The second message did not wait for the end of the first handler, which is still at work.
    expect(runs).toEqual([1, 2, 1]);
    for (const signal of signals) {
      expect(signal.aborted).toBe(true);
      expect(signal.reason).toBeInstanceOf(TimeoutError);
    }
    expect(events.of('handler-error')).toMatchObject([
      { attempt: 1, error: { code: 'TIMEOUT' } },
      { attempt: 2, error: { code: 'TIMEOUT' } },
    ]);
    await expect
      .poll(() => consumer.stats)
      .toMatchObject({ inFlight: 0, retried: 1, deadLettered: 1, acked: 1 });
    stuck.open();
    await consumer.close();
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 0 });
  });
});

describe('prefetch', () => {
  it.each([quorum, classic])('is how many messages the server delivers ahead ($type)', async (contract) => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.producer(contract).sendAll(Array.from({ length: 20 }, (_, n) => ({ n })));
    using stuck = gate();
    const consumer = broker.consumer(contract, () => stuck.opened, { prefetch: 5 });
    await expect.poll(() => consumer.stats).toMatchObject({ inFlight: 1, waiting: 4 });
    await expect.poll(() => broker.stats(contract)).toEqual({ messages: 15, consumers: 1 });
    stuck.open();
    await expect.poll(() => consumer.stats.acked).toBe(20);
  });
});

describe('exclusive', () => {
  it('lets a second consumer of a classic queue wait until the first has left', async () => {
    await using vhost = await createVhost();
    await using one = await Broker.connect(vhost.url);
    await using two = await Broker.connect(vhost.url);
    const handled: string[] = [];
    const first = one.consumer(classic, ({ body }) => void handled.push(`first ${body.n}`), {
      exclusive: true,
    });
    await first.ready;
    const second = two.consumer(classic, ({ body }) => void handled.push(`second ${body.n}`), {
      exclusive: true,
    });
    await expect.poll(() => second.state).toMatchObject({ status: 'starting', error: expect.any(Error) });
    await one.producer(classic).send({ n: 1 });
    await expect.poll(() => handled).toEqual(['first 1']);
    await first.close();
    await second.ready;
    await one.producer(classic).send({ n: 2 });
    await expect.poll(() => handled).toEqual(['first 1', 'second 2']);
  });

  it('is refused for a quorum queue, which has singleActiveConsumer', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    expect(() => broker.consumer(quorum, () => undefined, { exclusive: true })).toThrow(ConfigurationError);
    expect(() => broker.consumer(quorum, () => undefined, { exclusive: true })).toThrow(
      /singleActiveConsumer/,
    );

    const single = queue('single', number, { singleActiveConsumer: true });
    const handled: string[] = [];
    const first = broker.consumer(single, ({ body }) => void handled.push(`first ${body.n}`));
    await first.ready;
    const second = broker.consumer(single, ({ body }) => void handled.push(`second ${body.n}`));
    await second.ready;
    const producer = broker.producer(single);
    for (const n of [1, 2, 3]) await producer.send({ n });
    await expect.poll(() => handled).toEqual(['first 1', 'first 2', 'first 3']);
    await first.close();
    await producer.send({ n: 4 });
    await expect.poll(() => handled.at(-1)).toBe('second 4');
  });
});

describe('priority', () => {
  it('gives messages to the consumers with the higher one as long as they have room', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const handled: string[] = [];
    using busy = gate();
    const low = broker.consumer(quorum, () => void handled.push('low'), { priority: -5, prefetch: 1 });
    // It keeps what it gets: whether the server has seen an acknowledgement yet plays no part.
    const high = broker.consumer(
      quorum,
      async () => {
        handled.push('high');
        await busy.opened;
      },
      { priority: 5, prefetch: 3, concurrency: 3 },
    );
    await Promise.all([low.ready, high.ready]);
    const producer = broker.producer(quorum);
    for (const n of [1, 2, 3, 4]) {
      await producer.send({ n });
      await expect.poll(() => handled.length).toBe(n);
    }
    expect(handled).toEqual(['high', 'high', 'high', 'low']);
    busy.open();
  });
});

describe('noAck', () => {
  it('gives messages away for good: what fails is not tried again, and verdicts change nothing', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const events = recordEvents(broker);
    const numbers = queue('numbers', number, { type: 'classic' });
    await broker.producer(numbers).sendAll(Array.from({ length: 10 }, (_, n) => ({ n })));
    using held = gate();
    const runs: number[] = [];
    const consumer = broker.consumer(
      numbers,
      async (message) => {
        runs.push(message.body.n);
        if (message.body.n === 0) await held.opened;
        if (message.body.n === 1) throw new Error('it is lost');
        if (message.body.n === 2) message.requeue();
      },
      { noAck: true, prefetch: 1 },
    );
    // The server has forgotten all of them, whatever the prefetch.
    await expect.poll(() => consumer.stats).toMatchObject({ inFlight: 1, waiting: 9 });
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 1 });
    held.open();
    await expect.poll(() => runs.length).toBe(10);
    expect(events.of('handler-error').length).toBe(1);
    expect(await consumer.close()).toEqual({ clean: true });
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 0 });
    await expect.poll(() => broker.stats('numbers.dead')).toEqual({ messages: 0, consumers: 0 });
    expect(runs).toEqual(Array.from({ length: 10 }, (_, n) => n));
  });
});

describe('the signal of a consumer', () => {
  it('closes it, and lets its handlers end', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const abort = new AbortController();
    using working = gate();
    let started = 0;
    const consumer = broker.consumer(
      quorum,
      () => {
        started++;
        return working.opened;
      },
      { signal: abort.signal },
    );
    await broker.producer(quorum).send({ n: 1 });
    await expect.poll(() => started).toBe(1);
    abort.abort();
    expect(consumer.state.status).toBe('closing');
    working.open();
    expect(await consumer.closed).toBeUndefined();
    expect(consumer.stats).toMatchObject({ acked: 1 });

    const late = broker.consumer(quorum, () => undefined, { signal: abort.signal });
    await expect(late.ready).rejects.toMatchObject({ code: 'CLOSED' });
    expect(await late.closed).toBeUndefined();
  });
});

describe('wrong options of a consumer', () => {
  it.each([
    [{ concurrency: 0 }, 'concurrency'],
    [{ prefetch: 70_000 }, 'prefetch'],
    [{ prefetch: 'many' }, 'prefetch'],
    [{ handlerTimeoutMs: -1 }, 'handlerTimeoutMs'],
    [{ priority: 0.5 }, 'priority'],
    [{ noAck: 'yes' }, 'noAck'],
    [{ paralel: 5 }, 'paralel'],
  ])('are named at once: %j', async (options, name) => {
    await using broker = new Broker();
    expect(() => broker.consumer(quorum, () => undefined, options as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(name) }),
    );
    expect(() => broker.consumer('numbers' as never, () => undefined)).toThrow(ConfigurationError);
    expect(() => broker.consumer(quorum, 'handler' as never)).toThrow(ConfigurationError);
  });
});
