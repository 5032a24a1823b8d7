import { exchange, queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { gate, Seen } from './helpers.js';
import { suite } from './suite.js';

const events = exchange('events', z.object({ id: z.number() }));
const news = exchange('news', z.object({ id: z.number() }), { type: 'fanout' });
const levels = exchange('levels', z.object({ id: z.number() }), { type: 'direct' });
const files = exchange('files', z.object({ id: z.number() }), { type: 'headers' });

const ids = (seen: Seen<{ id: number }>) => seen.bodies.map(({ id }) => id);

/** A message that reaches a queue while the server deletes it can still be taken, or be refused. */
const outcomeOf = (sending: Promise<unknown>) =>
  sending.then(
    () => 'sent',
    ({ code }: { code: string }) => code,
  );

suite('an exchange and the consumers of one broker', {
  'lose no event that is sent after the consumers were made': async (bench) => {
    const broker = await bench.connect();
    const [all, bound] = [new Seen<{ id: number }>(), new Seen<{ id: number }>()];
    broker.consumer(news.subscription(), all.handler);
    broker.consumer(news.queue('archive', { type: 'classic', deadLetter: false }), bound.handler);
    await broker.producer(news).send({ id: 1 });
    await expect.poll(() => all.messages.length + bound.messages.length).toBe(2);
    expect({ all: ids(all), bound: ids(bound) }).toEqual({ all: [1], bound: [1] });
  },

  'lose none that reaches them through another exchange': async (bench) => {
    const broker = await bench.connect();
    const local = exchange('local', z.object({ id: z.number() }), {
      type: 'fanout',
      bindings: [{ exchange: news }],
    });
    const seen = new Seen<{ id: number }>();
    broker.consumer(local.subscription(), seen.handler);
    await broker.producer(news).send({ id: 1 });
    await expect.poll(() => seen.messages.length).toBe(1);
    expect(ids(seen)).toEqual([1]);
  },

  'do not wait for one that cannot be set up': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(queue('archive', z.string(), { type: 'classic', deadLetter: false }));
    const wrong = broker.consumer(news.queue('archive', { deadLetter: false }), () => undefined);
    await expect(broker.producer(news).send({ id: 1 })).resolves.toBeDefined();
    await expect(wrong.ready).rejects.toMatchObject({ code: 'MISMATCH' });
  },

  'are bound again when the exchange had vanished': async (bench) => {
    const [broker, operator] = [await bench.connect(), await bench.connect()];
    const restored: object[] = [];
    broker.on('topology-restored', (event) => void restored.push(event));
    const [all, bound] = [new Seen<{ id: number }>(), new Seen<{ id: number }>()];
    await broker.consumer(news.subscription(), all.handler).ready;
    await broker.consumer(news.queue('archive', { type: 'classic', deadLetter: false }), bound.handler).ready;
    const producer = broker.producer(news);
    await producer.send({ id: 1 });
    await operator.delete(news);
    for (const id of [2, 3]) await producer.send({ id });
    await expect.poll(() => all.messages.length + bound.messages.length).toBe(6);
    expect({ all: ids(all), bound: ids(bound), restored }).toEqual({
      all: [1, 2, 3],
      bound: [1, 2, 3],
      restored: [{ kind: 'exchange', name: 'news' }],
    });
  },
});

suite('a private subscription', {
  'gives each consumer its own copy, of what matches': async (bench) => {
    const [one, two] = [await bench.connect(), await bench.connect()];
    const [first, second, third] = [
      new Seen<{ id: number }>(),
      new Seen<{ id: number }>(),
      new Seen<{ id: number }>(),
    ];
    const europe = events.subscription('eu.#');
    await Promise.all([
      one.consumer(europe, first.handler).ready,
      one.consumer(europe, second.handler).ready,
      two.consumer(events.subscription(['*.paid', 'us']), third.handler).ready,
    ]);
    const producer = one.producer(events);
    for (const [id, routingKey] of ['eu.paid', 'us.paid', 'eu.sent', 'us'].entries())
      await producer.send({ id }, { routingKey, mandatory: true });
    await expect.poll(() => first.messages.length + second.messages.length + third.messages.length).toBe(7);
    expect({ first: ids(first), second: ids(second), third: ids(third) }).toEqual({
      first: [0, 2],
      second: [0, 2],
      third: [0, 1, 3],
    });
    expect(first.messages[0]).toMatchObject({
      exchange: 'events',
      routingKey: 'eu.paid',
      attempt: 1,
      redelivered: false,
    });
  },

  'is one for every type of exchange': async (bench) => {
    const broker = await bench.connect();
    const [fanout, direct, headers] = [
      new Seen<{ id: number }>(),
      new Seen<{ id: number }>(),
      new Seen<{ id: number }>(),
    ];
    await Promise.all([
      broker.consumer(news.subscription(), fanout.handler).ready,
      broker.consumer(levels.subscription(['high', 'low']), direct.handler).ready,
      broker.consumer(files.subscription({ 'x-match': 'all', format: 'pdf', pages: 2 }), headers.handler)
        .ready,
    ]);
    await broker.producer(news).send({ id: 1 });
    await broker.producer(levels).send({ id: 2 }, { routingKey: 'low' });
    await broker.producer(levels).send({ id: 3 }, { routingKey: 'lower' });
    await broker.producer(files).send({ id: 4 }, { headers: { format: 'pdf', pages: 3 } });
    await broker.producer(files).send({ id: 5 }, { headers: { format: 'pdf', pages: 2, tenant: 'a' } });
    await expect
      .poll(() => fanout.messages.length + direct.messages.length + headers.messages.length)
      .toBe(3);
    expect({ fanout: ids(fanout), direct: ids(direct), headers: ids(headers) }).toEqual({
      fanout: [1],
      direct: [2],
      headers: [5],
    });
  },

  'begins when its consumer is ready': async (bench) => {
    const broker = await bench.connect();
    const producer = broker.producer(news);
    await producer.send({ id: 1 });
    const seen = new Seen<{ id: number }>();
    await broker.consumer(news.subscription(), seen.handler).ready;
    await producer.send({ id: 2 }, { mandatory: true });
    await expect.poll(() => seen.messages.length).toBe(1);
    expect(ids(seen)).toEqual([2]);
  },

  'ends with its consumer': async (bench) => {
    const broker = await bench.connect();
    const consumer = broker.consumer(news.subscription(), () => undefined);
    await consumer.ready;
    const producer = broker.producer(news);
    await producer.send({ id: 1 }, { mandatory: true });
    await consumer.close();
    await expect.poll(() => outcomeOf(producer.send({ id: 2 }, { mandatory: true }))).toBe('UNROUTABLE');
  },

  'keeps what comes while its consumer is paused': async (bench) => {
    const broker = await bench.connect();
    const seen = new Seen<{ id: number }>();
    const consumer = broker.consumer(news.subscription(), seen.handler, { prefetch: 2 });
    await consumer.ready;
    const producer = broker.producer(news);
    await consumer.pause();
    for (const id of [1, 2, 3]) await producer.send({ id }, { mandatory: true });
    await expect.poll(() => consumer.stats.waiting).toBe(2);
    expect(ids(seen)).toEqual([]);
    await consumer.resume();
    await expect.poll(() => seen.messages.length).toBe(3);
    expect(ids(seen)).toEqual([1, 2, 3]);
    expect(seen.messages.map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
    await consumer.pause();
    await producer.send({ id: 4 }, { mandatory: true });
    expect(await consumer.close()).toEqual({ clean: true });
    await expect.poll(() => outcomeOf(producer.send({ id: 5 }, { mandatory: true }))).toBe('UNROUTABLE');
  },

  'can be a loop': async (bench) => {
    const broker = await bench.connect();
    const consumer = broker.consumer(news.subscription());
    await consumer.ready;
    await broker.producer(news).sendAll([{ id: 1 }, { id: 2 }]);
    const found: number[] = [];
    for await (const { body } of consumer) if (found.push(body.id) === 2) break;
    expect(found).toEqual([1, 2]);
  },
});

suite('a queue that goes with its last consumer', {
  'stays while that is paused, and what runs meanwhile takes no other message': async (bench) => {
    const broker = await bench.connect();
    const jobs = queue('jobs', z.object({ id: z.number() }), { type: 'classic', autoDelete: true });
    const handled: number[] = [];
    const held = gate();
    const consumer = broker.consumer(jobs, async ({ body }) => {
      handled.push(body.id);
      await held.opened;
    });
    await broker.producer(jobs).sendAll([{ id: 1 }, { id: 2 }]);
    await expect.poll(() => consumer.stats.waiting).toBe(1);
    await consumer.pause();
    held.open();
    await expect.poll(() => consumer.stats.acked).toBe(1);
    await broker.producer(jobs).send({ id: 3 });
    await expect.poll(() => consumer.stats.waiting).toBe(2);
    expect(handled).toEqual([1]);
    await consumer.resume();
    await expect.poll(() => handled.length).toBe(3);
    expect(handled).toEqual([1, 2, 3]);
  },

  'keeps the order of its keys over a pause': async (bench) => {
    const broker = await bench.connect();
    const jobs = queue('jobs', z.object({ id: z.number() }), { type: 'classic', autoDelete: true });
    const handled: number[] = [];
    const held = gate();
    const handler = async ({ body }: { readonly body: { id: number } }) => {
      handled.push(body.id);
      await held.opened;
    };
    const consumer = broker.consumer(jobs, handler, { orderBy: () => 'one key', prefetch: 3 });
    const all = Array.from({ length: 10 }, (_, id) => ({ id }));
    await broker.producer(jobs).sendAll(all);
    await expect.poll(() => consumer.stats.waiting).toBe(2);
    await consumer.pause();
    held.open();
    await expect.poll(() => consumer.stats.waiting).toBe(3);
    expect(handled).toEqual([0]);
    await consumer.resume();
    await expect.poll(() => handled.length).toBe(all.length);
    expect(handled).toEqual(all.map(({ id }) => id));
  },

  'gives a batch that is gathered no work while that is paused': async (bench) => {
    const broker = await bench.connect();
    const jobs = queue('jobs', z.object({ id: z.number() }), { type: 'classic', autoDelete: true });
    const batches: number[][] = [];
    const onBatch = (messages: readonly { readonly body: { id: number } }[]) =>
      void batches.push(messages.map(({ body }) => body.id));
    const consumer = broker.batchConsumer(jobs, onBatch, { size: 2, maxWaitMs: 300_000 });
    await broker.producer(jobs).send({ id: 1 });
    await expect.poll(() => consumer.stats.waiting).toBe(1);
    await consumer.pause();
    await broker.producer(jobs).send({ id: 2 });
    await expect.poll(() => consumer.stats.waiting).toBe(2);
    expect(batches).toEqual([]);
    await consumer.resume();
    await expect.poll(() => batches.length).toBe(1);
    expect(batches).toEqual([[1, 2]]);
  },
});

suite('a queue bound to an exchange', {
  'keeps messages while it has no consumer': async (bench) => {
    const [one, two] = [await bench.connect(), await bench.connect()];
    const billing = events.queue('billing', ['eu.*', '*.paid']);
    await one.declare(billing);
    // Matched by both keys, and in the queue once.
    await two.producer(events).send({ id: 1 }, { routingKey: 'eu.paid', mandatory: true });
    await one.close();
    const seen = new Seen<{ id: number }>();
    two.consumer(billing, seen.handler);
    await expect.poll(() => seen.messages.length).toBe(1);
    expect(ids(seen)).toEqual([1]);
    await expect.poll(() => two.stats(billing)).toMatchObject({ messages: 0 });
  },
});
