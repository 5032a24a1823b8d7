import { exchange, UnroutableError } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { Seen, until } from './helpers.js';
import { suite } from './suite.js';

const events = exchange('events', z.object({ id: z.number() }));
const news = exchange('news', z.object({ id: z.number() }), { type: 'fanout' });
const levels = exchange('levels', z.object({ id: z.number() }), { type: 'direct' });
const files = exchange('files', z.object({ id: z.number() }), { type: 'headers' });

const ids = (seen: Seen<{ id: number }>) => seen.bodies.map(({ id }) => id);

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
    await until(() => first.messages.length + second.messages.length + third.messages.length === 7);
    expect([ids(first), ids(second), ids(third)]).toEqual([
      [0, 2],
      [0, 2],
      [0, 1, 3],
    ]);
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
    await until(() => fanout.messages.length + direct.messages.length + headers.messages.length === 3);
    expect([ids(fanout), ids(direct), ids(headers)]).toEqual([[1], [2], [5]]);
  },

  'begins when its consumer is ready': async (bench) => {
    const broker = await bench.connect();
    const producer = broker.producer(news);
    await producer.send({ id: 1 });
    const seen = new Seen<{ id: number }>();
    await broker.consumer(news.subscription(), seen.handler).ready;
    await producer.send({ id: 2 }, { mandatory: true });
    await until(() => seen.messages.length === 1);
    expect(ids(seen)).toEqual([2]);
  },

  'ends with its consumer': async (bench) => {
    const broker = await bench.connect();
    const consumer = broker.consumer(news.subscription(), () => undefined);
    await consumer.ready;
    const producer = broker.producer(news);
    await producer.send({ id: 1 }, { mandatory: true });
    await consumer.close();
    await expect(producer.send({ id: 2 }, { mandatory: true })).rejects.toBeInstanceOf(UnroutableError);
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

suite('a queue bound to an exchange', {
  'keeps what comes while nobody consumes': async (bench) => {
    const [one, two] = [await bench.connect(), await bench.connect()];
    const billing = events.queue('billing', ['eu.*', '*.paid']);
    await one.declare(billing);
    // Matched by both keys, and in the queue once.
    await two.producer(events).send({ id: 1 }, { routingKey: 'eu.paid', mandatory: true });
    await one.close();
    const seen = new Seen<{ id: number }>();
    two.consumer(billing, seen.handler);
    await until(() => seen.messages.length === 1);
    expect(ids(seen)).toEqual([1]);
    expect(await two.stats(billing)).toMatchObject({ messages: 0 });
  },
});
