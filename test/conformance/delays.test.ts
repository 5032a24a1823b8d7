import { delays, exchange, queue, type SendOptions } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { Seen } from './helpers.js';
import { suite } from './suite.js';

const none = { messages: 0 };
const notes = queue('notes', z.object({ text: z.string() }));

suite('a delayed send', {
  'to a queue arrives after its delay and never before, as it was sent': async (bench) => {
    const broker = await bench.connect();
    const seen = new Seen<{ text: string }>();
    await broker.consumer(notes, seen.handler).ready;
    const options: SendOptions = {
      delayMs: 700,
      headers: { tenant: 'a' },
      correlationId: 'c',
      messageId: 'm',
    };
    const sentAt = Date.now();
    await broker.producer(notes).send({ text: 'a' }, options);
    await expect.poll(() => seen.messages.length).toBe(1);
    expect(Date.now() - sentAt).toBeGreaterThanOrEqual(700);
    const [message] = seen.messages;
    expect(message).toMatchObject({
      body: { text: 'a' },
      id: 'm',
      correlationId: 'c',
      exchange: '',
      routingKey: 'notes',
      attempt: 1,
      redelivered: false,
    });
    expect({ ...message?.headers }).toEqual({ tenant: 'a' });
  },

  'at a date arrives then, and at once when that has passed': async (bench) => {
    const broker = await bench.connect();
    const seen = new Seen<{ text: string }>();
    await broker.consumer(notes, seen.handler).ready;
    const producer = broker.producer(notes);
    await producer.send({ text: 'now' }, { deliverAt: new Date(0) });
    await expect.poll(() => seen.messages.length).toBe(1);
    const deliverAt = new Date(Date.now() + 400);
    await producer.send({ text: 'later' }, { deliverAt });
    await expect.poll(() => seen.messages.length).toBe(2);
    expect(Date.now()).toBeGreaterThanOrEqual(deliverAt.getTime());
  },

  'does not wait for one of a longer delay': async (bench) => {
    const broker = await bench.connect();
    const seen = new Seen<{ text: string }>();
    await broker.consumer(notes, seen.handler).ready;
    const producer = broker.producer(notes);
    // Declares what the others need, which takes its time.
    await producer.send({ text: 'first' }, { delayMs: 3_500 });
    await producer.send({ text: 'long' }, { delayMs: 3_000 });
    await producer.send({ text: 'short' }, { delayMs: 500 });
    await producer.send({ text: 'none' }, { delayMs: 0 });
    await expect.poll(() => seen.messages.length).toBe(4);
    expect(seen.bodies.map(({ text }) => text).filter((text) => text !== 'first')).toEqual([
      'none',
      'short',
      'long',
    ]);
  },

  'of a low priority does not wait for one of a high priority': async (bench) => {
    const broker = await bench.connect();
    const seen = new Seen<{ text: string }>();
    await broker.consumer(notes, seen.handler).ready;
    const producer = broker.producer(notes);
    await producer.send({ text: 'first' }, { delayMs: 1_000 });
    const overtaking = { isOver: false, sent: 0 };
    // As long as one of these is not due, a server with priorities may look at nothing else.
    const sends = (async () => {
      while (!overtaking.isOver && overtaking.sent < 90) {
        await producer.send({ text: 'high' }, { delayMs: 1_000, priority: 9 });
        overtaking.sent++;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    })();
    await expect.poll(() => seen.bodies.some(({ text }) => text === 'first')).toBe(true);
    overtaking.isOver = true;
    await sends;
    expect(overtaking.sent).toBeLessThan(90);
    await expect.poll(() => seen.messages.length).toBe(overtaking.sent + 1);
  },

  'to a name with dots reaches that queue alone': async (bench) => {
    const broker = await bench.connect();
    const [dotted, plain, other] = ['acme.sales', 'sales', 'acme'].map((name) => queue(name, z.number()));
    if (!dotted || !plain || !other) throw new Error('unreachable');
    const producers = [dotted, plain, other].map((it) => broker.producer(it));
    for (const [at, producer] of producers.entries()) await producer.send(at, { delayMs: 130 });
    await expect.poll(async () => (await broker.stats(dotted)).messages).toBe(1);
    await expect.poll(async () => (await broker.stats(plain)).messages).toBe(1);
    await expect.poll(async () => (await broker.stats(other)).messages).toBe(1);
    const seen = new Seen<number>();
    broker.consumer(dotted, seen.handler);
    await expect.poll(() => seen.messages.length).toBe(1);
    expect(seen.bodies).toEqual([0]);
  },

  'is refused with what does not go together': async (bench) => {
    const broker = await bench.connect();
    const producer = broker.producer(notes);
    const day = 86_400_000;
    const wrong: SendOptions[] = [
      { delayMs: 1, deliverAt: new Date() },
      { delayMs: 1, ttlMs: 10 },
      { delayMs: -1 },
      { delayMs: 60 * day + 1 },
      { deliverAt: new Date(Date.now() + 61 * day) },
      { deliverAt: new Date(Number.NaN) },
      { delayMs: 1, headers: { CC: ['other'] } },
    ];
    for (const options of wrong)
      await expect(producer.send({ text: 'a' }, options)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    const mine = queue('mine', z.string(), { type: 'classic', exclusive: true, durable: false });
    await expect(broker.producer(mine).send('a', { delayMs: 1 })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  },

  'may take 60 days': async (bench) => {
    const broker = await bench.connect();
    await expect(
      broker.producer(notes).send({ text: 'a' }, { delayMs: 60 * 86_400_000 }),
    ).resolves.toBeDefined();
    await expect.poll(() => broker.stats(notes)).toMatchObject({ messages: 0 });
  },

  'rejects when its queue does not exist': async (bench) => {
    const broker = await bench.connect();
    const missing = queue('missing', z.string(), { declare: false });
    await expect(broker.producer(missing).send('a', { delayMs: 60_000 })).rejects.toMatchObject({
      code: 'UNROUTABLE',
      routingKey: 'missing',
    });
  },

  'declares its queue, and a delay queue, again that was deleted behind its back': async (bench) => {
    const [broker, other] = [await bench.connect(), await bench.connect()];
    const producer = broker.producer(notes);
    await producer.send({ text: 'a' }, { delayMs: 63 });
    await expect.poll(async () => (await broker.stats(notes)).messages).toBe(1);
    await other.delete(queue('leveret.delay.63ms', z.any(), { declare: false }));
    await producer.send({ text: 'b' }, { delayMs: 63 });
    await expect.poll(async () => (await broker.stats(notes)).messages).toBe(2);
    await other.delete(exchange('leveret.delay.63ms', z.any(), { declare: false }));
    await producer.send({ text: 'c' }, { delayMs: 63 });
    await expect.poll(async () => (await broker.stats(notes)).messages).toBe(3);
    await expect.poll(() => broker.stats('leveret.delay.undelivered')).toMatchObject({ messages: 0 });
  },
});

suite('a queue that is full', {
  'delays its own messages and no others': async (bench) => {
    const broker = await bench.connect();
    const small = queue('small', z.number(), { maxLength: 1 });
    await broker.declare(delays(small, notes), small, notes);
    const toSmall = broker.producer(small);
    // A quorum queue takes one message more than its limit, or a few.
    await Promise.allSettled(Array.from({ length: 5 }, (_, at) => toSmall.send(at)));
    // More than a dead-letter worker has under way at once.
    await Promise.all(Array.from({ length: 40 }, (_, at) => toSmall.send(100 + at, { delayMs: 500 })));
    const seen = new Seen<{ text: string }>();
    await broker.consumer(notes, seen.handler).ready;
    const toNotes = broker.producer(notes);
    const sent = Array.from({ length: 10 }, (_, at) => toNotes.send({ text: `${at}` }, { delayMs: 500 }));
    await Promise.all(sent);
    await expect.poll(() => seen.messages.length).toBe(10);
    await expect.poll(() => broker.stats('leveret.delay.500ms')).toMatchObject({ messages: 0 });
  },

  'gets its delayed messages as soon as it has room': async (bench) => {
    const broker = await bench.connect();
    const small = queue('small', z.number(), { maxLength: 1 });
    // Declared ahead: what is due before it is sent is no delayed message.
    await broker.declare(delays(small));
    const toSmall = broker.producer(small);
    const filled = await Promise.allSettled(Array.from({ length: 5 }, (_, at) => toSmall.send(at)));
    const taken = filled.filter(({ status }) => status === 'fulfilled').length;
    // More than a dead-letter worker has under way at once, and more than one channel holds.
    const late = Array.from({ length: 150 }, (_, at) => 100 + at);
    await Promise.all(late.map((n) => toSmall.send(n, { delayMs: 500 })));
    // All have landed. What this program tries again is not counted by the server: 64 of those that are held.
    await expect
      .poll(async () => {
        const held = await broker.stats('leveret.delay.held.queue.small').catch(() => none);
        const { messages } = await broker.stats(small);
        return held.messages + 64 + messages - taken === late.length;
      })
      .toBe(true);
    // The next program finds what this one has held back.
    await broker.close();
    const next = await bench.connect();
    const seen = new Seen<number>();
    const consumer = next.consumer(small, seen.handler, { concurrency: 10 });
    await consumer.ready;
    const roomAt = Date.now();
    await expect.poll(() => consumer.stats.acked).toBeGreaterThanOrEqual(taken + late.length);
    expect(Date.now() - roomAt).toBeLessThan(5_000);
    expect(seen.bodies.filter((n) => n >= 100).toSorted((a, b) => a - b)).toEqual(late);
    expect(seen.messages.find(({ body }) => body === 100)).toMatchObject({ attempt: 1, exchange: '' });
    await expect.poll(async () => (await next.stats('leveret.delay.held.queue.small')).messages).toBe(0);
    await consumer.close();
    await next.delete(small);
    for (const place of ['leveret.delay.to.queue.small', 'leveret.delay.held.queue.small'])
      await expect(next.stats(place)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  },
});

suite('a delayed event', {
  'reaches the queues of its exchange by routing key or headers': async (bench) => {
    const broker = await bench.connect();
    const topic = exchange('topic', z.string(), { type: 'topic' });
    const direct = exchange('direct', z.string(), { type: 'direct' });
    const fanout = exchange('fanout', z.string(), { type: 'fanout' });
    const headers = exchange('headers', z.string(), { type: 'headers' });
    const queues = [
      topic.queue('by-topic', 'eu.*.new'),
      direct.queue('by-key', 'a.b'),
      fanout.queue('all'),
      headers.queue('by-headers', { 'x-match': 'all', region: 'eu' }),
    ];
    await broker.declare(...queues);
    await broker.producer(topic).send('1', { routingKey: 'eu.de.new', delayMs: 200 });
    await broker.producer(topic).send('no', { routingKey: 'eu.new', delayMs: 200 });
    await broker.producer(direct).send('2', { routingKey: 'a.b', delayMs: 200 });
    await broker.producer(fanout).send('3', { delayMs: 200 });
    await broker.producer(headers).send('4', { headers: { region: 'eu' }, delayMs: 200 });
    await broker.producer(headers).send('no', { headers: { region: 'us' }, delayMs: 200 });
    const seen = new Seen<string>();
    for (const it of queues) broker.consumer(it, seen.handler);
    await expect.poll(() => seen.messages.length).toBe(4);
    const found = seen.messages
      .toSorted((a, b) => (a.body < b.body ? -1 : 1))
      .map((it) => [it.body, it.exchange, it.routingKey, { ...it.headers }]);
    expect(found).toEqual([
      ['1', 'topic', 'eu.de.new', {}],
      ['2', 'direct', 'a.b', {}],
      ['3', 'fanout', '', {}],
      ['4', 'headers', '', { region: 'eu' }],
    ]);
  },

  'without a queue holds up nothing': async (bench) => {
    const broker = await bench.connect();
    const events = exchange('events', z.number());
    const producer = broker.producer(events);
    // More than a delay queue has under way at once.
    await producer.sendAll(
      Array.from({ length: 50 }, (_, at) => at),
      { each: { routingKey: 'k', delayMs: 130 } },
    );
    await broker.producer(notes).send({ text: 'a' }, { delayMs: 190 });
    await expect.poll(async () => (await broker.stats(notes)).messages).toBe(1);
    await expect.poll(() => broker.stats('leveret.delay.sink')).toMatchObject({ messages: 0 });
    await expect.poll(() => broker.stats('leveret.delay.undelivered')).toMatchObject({ messages: 0 });
  },
});

suite('a delayed message whose queue is gone', {
  'is kept, and holds up nothing': async (bench) => {
    const broker = await bench.connect();
    const gone = queue('gone', z.number());
    // Declares what the others need, so that they are on their way before they are due.
    await broker.producer(notes).send({ text: 'first' }, { delayMs: 3_000 });
    await broker.producer(gone).sendAll(
      Array.from({ length: 50 }, (_, at) => at),
      { each: { delayMs: 3_000 } },
    );
    const other = await bench.connect();
    await other.delete(gone);
    await broker.producer(notes).send({ text: 'a' }, { delayMs: 3_000 });
    await expect.poll(async () => (await broker.stats(notes)).messages).toBe(2);
    await expect.poll(async () => (await broker.stats('leveret.delay.undelivered')).messages).toBe(50);
    await expect(broker.stats(gone)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  },
});

for (const type of ['quorum', 'classic'] as const) {
  const orders = exchange('orders', z.object({ n: z.number() }));
  const jobs = orders.queue('acme.jobs', 'eu.#', {
    type,
    retry: { attempts: 3, initialDelayMs: 250, jitter: false },
  });

  suite(`a failed message of a ${type} queue`, {
    'waits for its next attempt on the server, and comes again as it was': async (bench) => {
      const broker = await bench.connect();
      const seen: unknown[] = [];
      const times: number[] = [];
      const consumer = broker.consumer(jobs, (message) => {
        times.push(Date.now());
        const { id, body, attempt, exchange: from, routingKey, correlationId, timestamp } = message;
        const headers = { ...message.headers };
        seen.push({ id, body, attempt, from, routingKey, correlationId, timestamp, headers });
        if (attempt < 3) throw new Error('not yet');
      });
      await consumer.ready;
      const options = {
        routingKey: 'eu.de',
        correlationId: 'c',
        headers: { tenant: 'a', traceparent: '00-1' },
      };
      const { messageId } = await broker.producer(orders).send({ n: 1 }, options);
      await expect.poll(() => consumer.stats.acked).toBe(1);
      const [first] = seen as [object];
      expect(first).toMatchObject({ id: messageId, from: 'orders', attempt: 1, headers: options.headers });
      expect(seen).toEqual([first, { ...first, attempt: 2 }, { ...first, attempt: 3 }]);
      expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(250);
      expect((times[2] ?? 0) - (times[1] ?? 0)).toBeGreaterThanOrEqual(500);
      expect(consumer.stats).toMatchObject({ acked: 1, retried: 2, requeued: 0 });
    },

    'can be postponed for days, and no consumer holds it': async (bench) => {
      const broker = await bench.connect();
      const consumer = broker.consumer(jobs, (message) => void message.retry({ delayMs: 30 * 86_400_000 }));
      await consumer.ready;
      await broker.producer(orders).send({ n: 1 }, { routingKey: 'eu.de' });
      await expect.poll(() => consumer.stats.retried).toBe(1);
      expect(await consumer.close()).toEqual({ clean: true });
      await expect.poll(() => broker.stats(jobs)).toMatchObject({ messages: 0 });
    },

    'goes to the dead letters with its origin and without what the delay left': async (bench) => {
      const broker = await bench.connect();
      const consumer = broker.consumer(jobs, () => {
        throw new Error('never');
      });
      await consumer.ready;
      await broker.producer(orders).send({ n: 1 }, { routingKey: 'eu.de', headers: { tenant: 'a' } });
      await expect.poll(() => consumer.stats.deadLettered).toBe(1);
      const dead = new Seen<unknown>();
      broker.consumer(queue('acme.jobs.dead', z.any(), { declare: false, deadLetter: false }), dead.handler);
      await expect.poll(() => dead.messages.length).toBe(1);
      const names = Object.keys(dead.messages[0]?.headers ?? {}).toSorted();
      expect(names).toEqual([
        'leveret-attempt',
        'leveret-error',
        'leveret-failed-at',
        'leveret-queue',
        'tenant',
      ]);
    },
  });
}

suite('a failed message of a private subscription', {
  'waits in its process, and comes again': async (bench) => {
    const broker = await bench.connect();
    const events = exchange('events', z.number(), { type: 'fanout' });
    const attempts: number[] = [];
    const mine = events.subscription({ retry: { attempts: 3, initialDelayMs: 100, jitter: false } });
    const consumer = broker.consumer(mine, ({ attempt }) => {
      attempts.push(attempt);
      if (attempt < 3) throw new Error('not yet');
    });
    await consumer.ready;
    await broker.producer(events).send(1);
    await expect.poll(() => consumer.stats.acked).toBe(1);
    expect(attempts).toEqual([1, 2, 3]);
    await expect(broker.stats('leveret.delay.deliver')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  },
});

suite('delays', {
  'can be declared ahead, and again': async (bench) => {
    const broker = await bench.connect();
    const events = exchange('events', z.number());
    await broker.declare(delays(notes, events));
    await broker.declare(notes, delays(notes, events), events);
    for (const name of ['63ms', '3s', '4194304s', 'high.1s', 'undelivered', 'sink'])
      await expect.poll(() => broker.stats(`leveret.delay.${name}`)).toEqual({ messages: 0, consumers: 0 });
    await broker.producer(notes).send({ text: 'a' }, { delayMs: 63 });
    await expect.poll(async () => (await broker.stats(notes)).messages).toBe(1);
  },

  'are only for what they can reach': async (bench) => {
    const broker = await bench.connect();
    const mine = queue('mine', z.string(), { type: 'classic', exclusive: true, durable: false });
    for (const wrong of [mine, 'notes', undefined])
      expect(() => delays(wrong as never)).toThrow(/delays: expected contracts/);
    await expect(broker.declare({ kind: 'delay' } as never)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  },

  'are not sent where they would never leave: to what has their name and other arguments': async (bench) => {
    const broker = await bench.connect();
    const other = { messageTtlMs: 12_000, deadLetter: 'elsewhere', deliveryLimit: 1_000_000 };
    await broker.declare(queue('leveret.delay.12s', z.unknown(), other));
    const producer = broker.producer(notes);
    await expect(producer.send({ text: 'a' }, { delayMs: 15_900 })).rejects.toMatchObject({
      code: 'MISMATCH',
      message: expect.stringContaining("'leveret.delay.12s'"),
    });
    await expect(broker.declare(delays(notes))).rejects.toMatchObject({ code: 'MISMATCH' });
    await producer.send({ text: 'b' }, { delayMs: 63 });
    await expect.poll(async () => (await broker.stats(notes)).messages).toBe(1);
  },

  'declare no more than is needed': async (bench) => {
    const broker = await bench.connect();
    await broker.producer(notes).send({ text: 'a' }, { delayMs: 1_000 });
    const exists = (name: string) =>
      broker.stats(`leveret.delay.${name}`).then(
        () => true,
        () => false,
      );
    expect(await exists('4s')).toBe(false);
    expect(await exists('high.1s')).toBe(false);
  },
});
