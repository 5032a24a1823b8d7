import { ClosedError, exchange, queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { gate, Seen } from './helpers.js';
import { suite } from './suite.js';

const notes = queue('notes', z.object({ text: z.string() }));
const events = exchange('events', z.object({ id: z.number() }));

suite('a producer', {
  'of each request is a light handle: more of them than a connection has channels': async (bench) => {
    const broker = await bench.connect();
    const visits = queue('visits', z.number(), { type: 'classic', retry: false, deadLetter: false });
    await broker.producer(visits).send(0);
    const sends = Array.from({ length: 2_200 }, (_, at) => broker.producer(visits).send(at));
    await Promise.all(sends);
    await expect.poll(() => broker.stats(visits)).toMatchObject({ messages: 2_201 });
    expect(broker.health().producers).toHaveLength(1);
  },

  'of many queues need no more channels than there are': async (bench) => {
    const broker = await bench.connect();
    const options = { type: 'classic', durable: false, deadLetter: false } as const;
    // On a server each costs a declaration.
    const count = bench.target.isEmbedded ? 2_500 : 150;
    const contracts = Array.from({ length: count }, (_, at) => queue(`q${at}`, z.number(), options));
    const producers = contracts.map((contract) => broker.producer(contract));
    for (const round of [1, 2]) await Promise.all(producers.map((producer) => producer.send(round)));
    const counts = await Promise.all(contracts.map((contract) => broker.stats(contract)));
    expect(counts.every(({ messages }) => messages === 2)).toBe(true);
  },

  'publishes in the order of the calls, whatever its schema does meanwhile': async (bench) => {
    const broker = await bench.connect();
    const first = gate();
    const checked = z.number().refine(async (line) => {
      if (line === 0) await first.opened;
      return true;
    });
    const lines = queue('lines', checked, { type: 'classic', deadLetter: false });
    const producer = broker.producer(lines);
    const sends = [0, 1, 2, 3].map((line) => producer.send(line));
    const others = producer.sendAll([4, 5, 6, 7]);
    first.open();
    await Promise.all([...sends, others]);
    const seen = new Seen<number>();
    broker.consumer(queue('lines', z.number(), { type: 'classic', deadLetter: false }), seen.handler);
    await expect.poll(() => seen.messages.length).toBe(8);
    expect(seen.bodies).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  },

  'resolves when the message is in its queue': async (bench) => {
    const broker = await bench.connect();
    const { messageId } = await broker.producer(notes).send({ text: 'a' });
    expect(messageId).toMatch(/^[0-9a-f-]{36}$/);
    await expect.poll(() => broker.stats(notes)).toEqual({ messages: 1, consumers: 0 });
  },

  'declares its queue, and the one for dead letters': async (bench) => {
    const broker = await bench.connect();
    await broker.producer(notes).send({ text: 'a' });
    await expect.poll(() => broker.stats('notes.dead')).toEqual({ messages: 0, consumers: 0 });
  },

  'declares a queue again that was deleted behind its back': async (bench) => {
    const broker = await bench.connect();
    const producer = broker.producer(notes);
    await producer.send({ text: 'a' });
    const other = await bench.connect();
    await other.delete(notes);
    await producer.send({ text: 'b' });
    await expect.poll(() => broker.stats(notes)).toEqual({ messages: 1, consumers: 0 });
  },

  'rejects when no queue takes the message': async (bench) => {
    const broker = await bench.connect();
    const missing = queue('missing', z.string(), { declare: false });
    await expect(broker.producer(missing).send('a')).rejects.toMatchObject({
      code: 'UNROUTABLE',
      exchange: '',
      routingKey: 'missing',
    });
    const producer = broker.producer(events);
    await expect(producer.send({ id: 1 }, { routingKey: 'k', mandatory: true })).rejects.toMatchObject({
      code: 'UNROUTABLE',
      exchange: 'events',
      routingKey: 'k',
    });
  },

  'accepts an event that no queue receives': async (bench) => {
    const broker = await bench.connect();
    await expect(broker.producer(events).send({ id: 1 }, { routingKey: 'k' })).resolves.toMatchObject({
      messageId: expect.any(String),
    });
  },

  'rejects when the queue is full, and goes on when it is not': async (bench) => {
    const broker = await bench.connect();
    const small = queue('small', z.string(), { type: 'classic', maxLength: 1, overflow: 'reject-publish' });
    const producer = broker.producer(small);
    await producer.send('a');
    await expect(producer.send('b')).rejects.toMatchObject({ code: 'REJECTED', retryable: true });
    await broker.purge(small);
    await expect(producer.send('c')).resolves.toBeDefined();
  },

  'keeps the order of many sends at once': async (bench) => {
    const broker = await bench.connect();
    const producer = broker.producer(notes, { maxInFlight: 50 });
    const texts = Array.from({ length: 300 }, (_, at) => `${at}`);
    await Promise.all(texts.map((text) => producer.send({ text })));
    const seen = new Seen<{ text: string }>();
    broker.consumer(notes, seen.handler);
    await expect.poll(() => seen.messages.length).toBe(300);
    expect(seen.bodies.map(({ text }) => text)).toEqual(texts);
  },

  'sends every property, and the consumer sees it': async (bench) => {
    const broker = await bench.connect();
    const headers = { tenant: 'a', n: 5, deep: { er: [1, 'x', null, true] } };
    const before = Math.floor(Date.now() / 1_000) * 1_000;
    await broker
      .producer(notes)
      .send({ text: 'a' }, { messageId: 'my id', correlationId: 'c', headers, priority: 3 });
    const seen = new Seen<{ text: string }>();
    broker.consumer(notes, seen.handler);
    await expect.poll(() => seen.messages.length).toBe(1);
    const [message] = seen.messages;
    expect(message).toMatchObject({
      id: 'my id',
      correlationId: 'c',
      routingKey: 'notes',
      exchange: '',
      attempt: 1,
      redelivered: false,
    });
    expect({ ...message?.headers }).toEqual(headers);
    expect(message?.timestamp?.getTime()).toBeGreaterThanOrEqual(before);
  },

  'sends again through a queue that holds what was sent': async (bench) => {
    const broker = await bench.connect();
    const result = await broker.producer(notes).sendAll([{ text: 'a' }, { text: 'b' }, { text: 'c' }]);
    expect(result).toEqual({ sent: 3, failed: [] });
    expect(await broker.purge(notes)).toBe(3);
    await expect.poll(() => broker.stats(notes)).toMatchObject({ messages: 0 });
  },

  'cannot use a queue that exists as another one': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(queue('q', z.string(), { deliveryLimit: 10 }));
    await expect(
      broker.producer(queue('q', z.string(), { deliveryLimit: 30 })).send('a'),
    ).rejects.toMatchObject({
      code: 'MISMATCH',
      argument: 'x-delivery-limit',
      declared: "'30'",
      existing: "'10'",
    });
  },

  'of a closed broker rejects': async (bench) => {
    const broker = await bench.connect();
    const producer = broker.producer(notes);
    await broker.close();
    await expect(producer.send({ text: 'a' })).rejects.toBeInstanceOf(ClosedError);
  },

  'that sends a message of little time loses it to the dead letters': async (bench) => {
    const broker = await bench.connect();
    await broker.producer(notes).send({ text: 'a' }, { ttlMs: 20 });
    await expect.poll(async () => (await broker.stats('notes.dead')).messages).toBe(1);
    await expect.poll(() => broker.stats(notes)).toMatchObject({ messages: 0 });
  },
});

suite('exchanges', {
  'of the type topic reach the queues by pattern': async (bench) => {
    const broker = await bench.connect();
    const [eu, all] = [events.queue('eu', 'eu.*'), events.queue('all', '#')];
    await broker.declare(eu, all);
    const producer = broker.producer(events);
    for (const [at, routingKey] of ['eu.de', 'eu.de.by', 'us.ca'].entries())
      await producer.send({ id: at }, { routingKey });
    expect({ eu: (await broker.stats(eu)).messages, all: (await broker.stats(all)).messages }).toEqual({
      eu: 1,
      all: 3,
    });
  },

  'of the types direct, fanout and headers reach theirs': async (bench) => {
    const broker = await bench.connect();
    const direct = exchange('direct', z.string(), { type: 'direct' });
    const fanout = exchange('fanout', z.string(), { type: 'fanout' });
    const headers = exchange('headers', z.string(), { type: 'headers' });
    const one = direct.queue('one', ['a', 'b']);
    const two = fanout.queue('two');
    const three = headers.queue('three', { 'x-match': 'any', tenant: 'x', region: 'eu' });
    await broker.declare(one, two, three);
    await broker.producer(direct).send('1', { routingKey: 'b' });
    await broker.producer(direct).send('2', { routingKey: 'c' });
    await broker.producer(fanout).send('3');
    await broker.producer(headers).send('4', { headers: { region: 'eu' } });
    await broker.producer(headers).send('5', { headers: { region: 'us' } });
    const depths = await Promise.all([one, two, three].map(async (it) => (await broker.stats(it)).messages));
    expect(depths).toEqual([1, 1, 1]);
  },

  'hand unroutable messages to their alternate': async (bench) => {
    const broker = await bench.connect();
    const lost = exchange('lost', z.string(), { type: 'fanout' });
    const main = exchange('main', z.string(), { type: 'direct', alternateExchange: lost });
    const found = lost.queue('found');
    await broker.declare(main, found);
    await broker.producer(main).send('a', { routingKey: 'unbound', mandatory: true });
    expect((await broker.stats(found)).messages).toBe(1);
  },

  'exist once, and not as another type': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(events, events);
    await expect(broker.declare(exchange('events', z.string(), { type: 'fanout' }))).rejects.toMatchObject({
      code: 'MISMATCH',
      argument: 'type',
    });
  },

  'are declared again when they are gone': async (bench) => {
    const [broker, other] = [await bench.connect(), await bench.connect()];
    const producer = broker.producer(events);
    await producer.send({ id: 1 }, { routingKey: 'k' });
    await other.delete(events);
    await producer.send({ id: 2 }, { routingKey: 'k' });
    await expect(
      other.declare(exchange('events', z.string(), { declare: 'passive' })),
    ).resolves.toBeUndefined();
  },
});

suite('administration', {
  'tells that a queue is missing': async (bench) => {
    const broker = await bench.connect();
    await expect(broker.stats('nix')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(broker.purge('nix')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(broker.declare(queue('nix', z.string(), { declare: 'passive' }))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(broker.delete(queue('nix', z.string()))).resolves.toBeUndefined();
  },

  'is shared by all brokers of one server': async (bench) => {
    const [one, two] = [await bench.connect(), await bench.connect()];
    await one.producer(notes).send({ text: 'a' });
    await one.close();
    await expect.poll(() => two.stats(notes)).toMatchObject({ messages: 1 });
  },

  'keeps the exclusive queue of one broker from another': async (bench) => {
    const [one, two] = [await bench.connect(), await bench.connect()];
    const mine = queue('mine', z.string(), {
      type: 'classic',
      exclusive: true,
      durable: false,
      deadLetter: false,
    });
    await one.declare(mine);
    await expect(two.stats('mine')).rejects.toMatchObject({ code: 'ACCESS_REFUSED' });
    await one.close();
    await expect
      .poll(() =>
        two.stats('mine').then(
          () => false,
          (error) => error.code === 'NOT_FOUND',
        ),
      )
      .toBe(true);
    expect(two.state.status).toBe('connected');
  },
});
