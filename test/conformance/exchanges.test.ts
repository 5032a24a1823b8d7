import { type Broker, exchange, type HeaderValue, type QueueContract, queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { gate, Seen } from './helpers.js';
import { suite } from './suite.js';

const light = { type: 'classic', deadLetter: false } as const;

/** What each queue has got: everything that was sent before is there when the markers are. */
async function contents(broker: Broker, ...queues: readonly QueueContract<z.ZodString>[]): Promise<string[]> {
  return Promise.all(
    queues.map(async (contract) => {
      await broker.producer(queue(contract.name, z.string(), { declare: false })).send('end');
      const seen = new Seen<string>();
      await using _ = broker.consumer(contract, seen.handler);
      await expect.poll(() => seen.bodies.at(-1)).toBe('end');
      return seen.bodies.slice(0, -1).join(' ');
    }),
  );
}

suite('an exchange', {
  'that every server has is used like any other': async (bench) => {
    const broker = await bench.connect();
    const seen = new Seen<string>();
    for (const declare of [false, 'passive'] as const) {
      const rooms = exchange('amq.topic', z.string(), { declare });
      await broker.consumer(rooms.subscription('rooms.*'), seen.handler).ready;
      await broker.producer(rooms).send(`${declare}`, { routingKey: 'rooms.kitchen', mandatory: true });
    }
    await expect.poll(() => seen.messages.length).toBe(3);
    expect(seen.bodies.toSorted()).toEqual(['false', 'passive', 'passive']);
  },

  'routes by one of several keys': async (bench) => {
    const broker = await bench.connect();
    const orders = exchange('orders', z.string());
    const [some, all] = [
      orders.queue('some', ['eu.*', '*.urgent'], light),
      orders.queue('all', '#', light),
    ] as const;
    await broker.declare(some, all);
    const producer = broker.producer(orders);
    for (const routingKey of ['eu.paid', 'us.urgent', 'eu.urgent', 'us.paid'])
      await producer.send(routingKey, { routingKey });
    // One message goes once to a queue, however many of its bindings match.
    expect(await contents(broker, some, all)).toEqual([
      'eu.paid us.urgent eu.urgent',
      'eu.paid us.urgent eu.urgent us.paid',
    ]);
  },

  'routes by all of the headers, or any': async (bench) => {
    const broker = await bench.connect();
    const files = exchange('files', z.string(), { type: 'headers' });
    const [all, any] = [
      files.queue('all', { 'x-match': 'all', format: 'pdf', pages: 2 }, light),
      files.queue('any', { 'x-match': 'any', format: 'pdf', pages: 2 }, light),
    ] as const;
    await broker.declare(all, any);
    const producer = broker.producer(files);
    await producer.send('both', { headers: { format: 'pdf', pages: 2 } });
    await producer.send('one', { headers: { format: 'pdf', pages: 3 } });
    await producer.send('none', { headers: { format: 'png' } });
    expect(await contents(broker, all, any)).toEqual(['both', 'both one']);
  },

  'compares headers by their values, whatever their types, and within arrays and tables by both': async (
    bench,
  ) => {
    const broker = await bench.connect();
    const files = exchange('files', z.string(), { type: 'headers' });
    const values: Readonly<Record<string, HeaderValue>> = {
      one: 1,
      half: 0.5,
      text: '1',
      bytes: Buffer.from('1'),
      yes: true,
      textYes: 'true',
      zero: 0,
      minusZero: -0,
      // Integers that only a double holds.
      double: 2 ** 63,
      negative: -(2 ** 63),
      huge: 1e300,
      textHuge: '1e+300',
      ones: [1],
      doubles: [2 ** 63],
      texts: ['1'],
      table: { a: 1, b: 2 },
      reversed: { b: 2, a: 1 },
      emptyText: '',
      emptyArray: [],
      emptyTable: {},
    };
    const names = Object.keys(values);
    const queues = names.map((name) => files.queue(name, { 'x-match': 'all', value: values[name] }, light));
    await broker.declare(...queues);
    for (const [name, value] of Object.entries(values))
      await broker.producer(files).send(name, { headers: { value } });
    const got = await contents(broker, ...queues);
    const others = names.map((name, at) => [name, got[at]?.split(' ').filter((it) => it !== name)] as const);
    expect(got.every((contents, at) => contents.split(' ').includes(names[at] ?? ''))).toBe(true);
    expect(Object.fromEntries(others.filter(([, it]) => it && it.length > 0))).toEqual({
      text: ['bytes'],
      bytes: ['text'],
      zero: ['minusZero'],
      minusZero: ['zero'],
      emptyArray: ['emptyTable'],
      emptyTable: ['emptyArray'],
    });
  },

  'hands on to the exchanges that are bound to it': async (bench) => {
    const broker = await bench.connect();
    const orders = exchange('orders', z.string());
    const europe = exchange('europe', z.string(), {
      type: 'fanout',
      internal: true,
      bindings: [{ exchange: orders, routingKey: 'eu.#' }],
    });
    const audit = exchange('audit', z.string(), { bindings: [{ exchange: europe }, { exchange: orders }] });
    const [billing, paid] = [europe.queue('billing', light), audit.queue('paid', '*.paid', light)] as const;
    await broker.declare(billing, paid);
    const producer = broker.producer(orders);
    for (const routingKey of ['eu.paid', 'eu.sent', 'us.paid'])
      await producer.send(routingKey, { routingKey });
    expect(await contents(broker, billing, paid)).toEqual(['eu.paid eu.sent', 'eu.paid']);
  },

  'hands on by headers': async (bench) => {
    const broker = await bench.connect();
    const files = exchange('files', z.string(), { type: 'headers' });
    const documents = exchange('documents', z.string(), {
      type: 'fanout',
      bindings: [{ exchange: files, arguments: { 'x-match': 'all', format: 'pdf' } }],
    });
    const archive = documents.queue('archive', light);
    await broker.declare(archive);
    await broker.producer(files).send('a', { headers: { format: 'pdf' } });
    await broker.producer(files).send('b', { headers: { format: 'png' } });
    expect(await contents(broker, archive)).toEqual(['a']);
  },

  'gives unroutable messages to its alternate': async (bench) => {
    const broker = await bench.connect();
    const strays = exchange('strays', z.string(), { type: 'fanout' });
    const orders = exchange('orders', z.string(), { type: 'direct', alternateExchange: strays });
    const [known, lost] = [orders.queue('known', 'known', light), strays.queue('lost', light)] as const;
    await broker.declare(known, lost);
    const producer = broker.producer(orders);
    await producer.send('a', { routingKey: 'known', mandatory: true });
    await producer.send('b', { routingKey: 'other', mandatory: true });
    expect(await contents(broker, known, lost)).toEqual(['a', 'b']);
  },

  'keeps for a durable subscriber what comes while it is away': async (bench) => {
    const [broker, other] = [await bench.connect(), await bench.connect()];
    const news = exchange('news', z.string(), { type: 'fanout' });
    const readers = news.queue('readers');
    const first = new Seen<string>();
    const consumer = other.consumer(readers, first.handler);
    await consumer.ready;
    const producer = broker.producer(news);
    await producer.send('a');
    await expect.poll(() => consumer.stats.acked).toBe(1);
    await other.close();
    await producer.send('b');
    const second = new Seen<string>();
    broker.consumer(readers, second.handler);
    await expect.poll(() => second.messages.length).toBe(1);
    expect({ first: first.bodies, second: second.bodies }).toEqual({ first: ['a'], second: ['b'] });
  },

  'gives each private subscriber all of it, from the time when it is there': async (bench) => {
    const broker = await bench.connect();
    const news = exchange('news', z.string());
    const [early, late] = [new Seen<string>(), new Seen<string>()];
    const producer = broker.producer(news);
    await broker.consumer(news.subscription('#'), early.handler).ready;
    await producer.send('a', { routingKey: 'x' });
    await broker.consumer(news.subscription(['x', 'y']), late.handler).ready;
    await producer.send('b', { routingKey: 'y' });
    await expect
      .poll(() => ({ early: early.messages.length, late: late.messages.length }))
      .toEqual({ early: 2, late: 1 });
    expect({ early: early.bodies, late: late.bodies }).toEqual({ early: ['a', 'b'], late: ['b'] });
  },

  'takes private subscriptions to headers, and drops what failed for good': async (bench) => {
    const broker = await bench.connect();
    const files = exchange('files', z.string(), { type: 'headers' });
    const held = gate();
    const consumer = broker.consumer(
      files.subscription({ 'x-match': 'any', format: 'pdf' }, { retry: false }),
      async () => {
        await held.opened;
        throw new Error('no');
      },
    );
    await consumer.ready;
    await broker.producer(files).send('a', { headers: { format: 'pdf' }, mandatory: true });
    await expect.poll(() => consumer.stats.inFlight).toBe(1);
    held.open();
    await expect.poll(() => consumer.stats.deadLettered).toBe(1);
    expect(await consumer.close()).toEqual({ clean: true });
  },
});
