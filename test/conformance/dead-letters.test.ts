import { type Broker, DeadLetter, type DeadLetterEntry, exchange, queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../helpers/recorded-events.js';
import { gate, Seen } from './helpers.js';
import { Peer } from './port/peer.js';
import { type Bench, suite } from './suite.js';

const Job = z.object({ n: z.number() });
const jobs = queue('jobs', Job, { retry: false });
/** The same queue, for a client that knows another schema. */
const anything = queue('jobs', z.looseObject({}), { declare: false });

/** Sends these, and lets a handler give all of them up. */
async function fail(
  broker: Broker,
  numbers: readonly number[],
  { contract = jobs, headers = {} }: { contract?: typeof jobs; headers?: Record<string, string> } = {},
): Promise<void> {
  const before = (await broker.stats(contract.deadLetter ?? '').catch(() => undefined))?.messages ?? 0;
  await broker.producer(contract).sendAll(
    numbers.map((n) => ({ n })),
    { each: ({ n }) => ({ messageId: `id-${n}`, headers }) },
  );
  const consumer = broker.consumer(contract, ({ body }) => {
    throw new TypeError(`cannot do ${body.n}`);
  });
  await consumer.ready;
  await expect
    .poll(async () => (await broker.stats(contract.deadLetter ?? '')).messages)
    .toBe(before + numbers.length);
  await consumer.close();
}

const numbersOf = (letters: readonly DeadLetterEntry<{ n: number }>[]) => letters.map(({ body }) => body.n);

async function bodiesIn(bench: Bench, name: string, count: number): Promise<unknown[]> {
  const broker = await bench.connect();
  const seen = new Seen<unknown>();
  const consumer = broker.consumer(
    queue(name, z.unknown(), { declare: false, deadLetter: false }),
    seen.handler,
  );
  await expect.poll(() => seen.messages.length).toBeGreaterThanOrEqual(count);
  await consumer.close();
  return [...seen.bodies];
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

const events = exchange('events', Job, { type: 'topic' });
const bound = events.queue('bound', 'eu.*', { retry: { attempts: 2, initialDelayMs: 100 } });
const expiring = events.queue('expiring', 'us.*', { messageTtlMs: 1 });

suite('a message without an id', {
  'has none in any attempt, nor as a dead letter, also where that has to be placed twice': async (bench) => {
    const broker = await bench.connect();
    const events = recordEvents(broker);
    const scans = queue('scans', Job, { retry: { attempts: 3, initialDelayMs: 100 } });
    await broker.declare(scans);
    await broker.delete(queue('scans.dead', Job, { declare: false, deadLetter: false }));
    const seen: unknown[] = [];
    broker.consumer(scans, ({ id, headers }) => {
      seen.push(id, ...Object.keys(headers));
      throw new Error('unreadable');
    });
    await using peer = new Peer(bench.target);
    await (await peer.channel()).publish('scans', '{"n":1}');
    await expect.poll(() => events.of('dead-lettered').length).toBe(1);
    expect(seen).toEqual([undefined, undefined, undefined]);
    expect(events.of('dead-lettered')[0]?.messageId).toBeUndefined();
    const letters = await broker.deadLetters(scans).list();
    expect(letters.map(({ id, headers }) => ({ id, headers }))).toEqual([{ id: undefined, headers: {} }]);
    const letter = await (await peer.channel()).take('scans.dead');
    expect(letter.properties.messageId).toBeUndefined();
  },
});

suite('a list of dead letters', {
  'says where its sender sent each, whether a consumer or the server dead-lettered it': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(bound, expiring);
    broker.consumer(bound, () => {
      throw new Error('no');
    });
    for (const routingKey of ['eu.created', 'us.created'])
      await broker.producer(events).send({ n: 1 }, { routingKey, headers: { tenant: 'acme' } });
    for (const [contract, routingKey] of [
      [bound, 'eu.created'],
      [expiring, 'us.created'],
    ] as const) {
      await expect.poll(async () => (await broker.stats(contract.deadLetter ?? '')).messages).toBe(1);
      const letters = await broker.deadLetters(contract).list();
      expect(letters).toMatchObject([{ headers: { tenant: 'acme' }, exchange: 'events', routingKey }]);
    }
  },

  'says of each what it is and why it is there': async (bench) => {
    const broker = await bench.connect();
    const before = Date.now();
    await fail(broker, [7], { headers: { tenant: 'acme' } });
    const [letter, ...others] = await broker.deadLetters(jobs).list();
    expect(others).toEqual([]);
    expect(letter).toEqual({
      id: 'id-7',
      body: { n: 7 },
      raw: Buffer.from('{"n":7}'),
      headers: { tenant: 'acme' },
      exchange: '',
      routingKey: 'jobs',
      error: { code: 'TypeError', message: 'cannot do 7' },
      attempt: 1,
      queue: 'jobs',
      failedAt: expect.any(Date),
    });
    expect(letter?.failedAt?.getTime()).toBeGreaterThanOrEqual(before);
    expect(letter?.failedAt?.getTime()).toBeLessThanOrEqual(Date.now());
  },

  'leaves them where they are, in their order, however often': async (bench) => {
    const broker = await bench.connect();
    await fail(broker, upTo(150));
    for (let look = 0; look < 10; look++) {
      expect(numbersOf(await broker.deadLetters(jobs).list({ limit: 120 }))).toEqual(upTo(120));
      await expect.poll(() => broker.stats('jobs.dead')).toMatchObject({ messages: 150 });
    }
    expect(numbersOf(await broker.deadLetters(jobs).list({ limit: 1_000 }))).toEqual(upTo(150));
    expect(await bodiesIn(bench, 'jobs.dead', 150)).toEqual(upTo(150).map((n) => ({ n })));
  },

  'shows a hundred unless told otherwise': async (bench) => {
    const broker = await bench.connect();
    await fail(broker, upTo(103));
    expect(numbersOf(await broker.deadLetters(jobs).list())).toEqual(upTo(100));
  },

  'has the issues of a body that does not fit, and none that cannot be decoded': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(jobs);
    await using peer = new Peer(bench.target);
    await broker.producer(anything).send({ n: 'one' });
    const probe = await peer.channel();
    await probe.publish('jobs', 'not json', { properties: { messageId: 'bad' } });
    broker.consumer(jobs, () => undefined);
    await expect.poll(async () => (await broker.stats('jobs.dead')).messages).toBe(2);
    const [first, second] = await broker.deadLetters(jobs).list();
    expect(first).toMatchObject({
      body: { n: 'one' },
      error: { code: 'INVALID_BODY' },
      issues: [{ path: ['n'], message: expect.any(String) }],
    });
    expect(second).toMatchObject({ id: 'bad', error: { code: 'INVALID_BODY' }, issues: [{ path: [] }] });
    expect(second?.body).toBeUndefined();
    expect(Buffer.from(second?.raw ?? []).toString()).toBe('not json');
  },

  'is empty when there are none, also when their queue was never declared or is gone': async (bench) => {
    const broker = await bench.connect();
    expect(await broker.deadLetters(jobs).list()).toEqual([]);
    await broker.delete(queue('jobs.dead', z.unknown()));
    expect(await broker.deadLetters(jobs).list()).toEqual([]);
    expect(await broker.deadLetters(jobs).replay()).toEqual({ replayed: 0, invalid: 0, skipped: 0 });
    expect(await broker.deadLetters(jobs).purge()).toBe(0);
  },

  'rejects when another program has to declare their queue, and has not': async (bench) => {
    const broker = await bench.connect();
    for (const declare of [false, 'passive'] as const) {
      const letters = broker.deadLetters(queue('elsewhere', Job, { declare }));
      await expect(letters.list()).rejects.toMatchObject({ code: 'NOT_FOUND', name: 'TopologyError' });
      await expect(letters.replay()).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(letters.purge()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
    await broker.connect();
    expect(await broker.deadLetters(jobs).list()).toEqual([]);
  },

  'is refused for a queue without dead letters, and for anything but a queue': async (bench) => {
    const broker = await bench.connect();
    const none = queue('none', Job, { deadLetter: false });
    expect(() => broker.deadLetters(none)).toThrow(/'none' with deadLetter: false/);
    expect(() => broker.deadLetters('jobs' as never)).toThrow(
      /expected a contract made by queue\(\), got 'jobs'/,
    );
    const letters = broker.deadLetters(jobs);
    await expect(letters.list({ limit: 0 })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      option: 'limit',
    });
    await expect(letters.replay({ ratePerSecond: 0 })).rejects.toMatchObject({ option: 'ratePerSecond' });
    await expect(letters.replay({ rate: 5 } as never)).rejects.toMatchObject({ option: 'rate' });
  },

  'of a broker that is closed rejects': async (bench) => {
    const broker = await bench.connect();
    await broker.close();
    await expect(broker.deadLetters(jobs).list()).rejects.toMatchObject({ code: 'CLOSED' });
  },
});

suite('a replay of dead letters', {
  'puts them back as they were, at their first attempt': async (bench) => {
    const broker = await bench.connect();
    await fail(broker, [1, 2, 3], { headers: { tenant: 'acme' } });
    const progress: { done: number; total: number }[] = [];
    const result = await broker.deadLetters(jobs).replay({ onProgress: (it) => progress.push(it) });
    expect(result).toEqual({ replayed: 3, invalid: 0, skipped: 0 });
    expect(progress).toEqual([1, 2, 3].map((done) => ({ done, total: 3 })));
    await expect.poll(() => broker.stats('jobs.dead')).toMatchObject({ messages: 0 });
    const seen = new Seen<{ n: number }>();
    broker.consumer(jobs, seen.handler);
    await expect.poll(() => seen.messages.length).toBe(3);
    expect(
      seen.messages.map(({ id, body, attempt, redelivered }) => [id, body.n, attempt, redelivered]),
    ).toEqual([1, 2, 3].map((n) => [`id-${n}`, n, 1, false]));
    expect(seen.messages.map(({ headers }) => ({ ...headers }))).toEqual(
      upTo(3).map(() => ({ tenant: 'acme' })),
    );
  },

  'strips what the server wrote': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(jobs);
    await using peer = new Peer(bench.target);
    const probe = await peer.channel();
    await probe.publish('jobs', '{"n":1}', { properties: { headers: { own: 'x' }, messageId: 'm' } });
    const consumer = await probe.consume('jobs', 1);
    await expect.poll(() => consumer.received.length).toBe(1);
    probe.channel.reject(1, { requeue: false });
    await expect.poll(async () => await probe.ready('jobs.dead')).toBe(1);
    await probe.channel.cancel(consumer.tag);
    expect(await broker.deadLetters(jobs).replay()).toMatchObject({ replayed: 1 });
    const back = await probe.take('jobs');
    expect(back).toMatchObject({ text: '{"n":1}', redelivered: false, routingKey: 'jobs', exchange: '' });
    expect(back.properties).toMatchObject({ messageId: 'm', deliveryMode: 2 });
    expect({ ...(back.properties.headers as object) }).toEqual({ own: 'x' });
  },

  'leaves what does not fit the schema of today, and what the filter leaves out, in their order': async (
    bench,
  ) => {
    const broker = await bench.connect();
    await fail(broker, upTo(10));
    const today = queue('jobs', z.object({ n: z.number().min(3) }), { retry: false });
    const asked: number[] = [];
    const result = await broker.deadLetters(today).replay({
      filter: ({ body, error, id }) => {
        asked.push(body.n);
        return body.n % 2 === 0 && error.code === 'TypeError' && id === `id-${body.n}`;
      },
    });
    expect(result).toEqual({ replayed: 3, invalid: 3, skipped: 4 });
    expect(asked).toEqual([3, 4, 5, 6, 7, 8, 9]);
    expect(await bodiesIn(bench, 'jobs', 3)).toEqual([{ n: 4 }, { n: 6 }, { n: 8 }]);
    expect(numbersOf(await broker.deadLetters(jobs).list())).toEqual([0, 1, 2, 3, 5, 7, 9]);
  },

  'ends at its limit, which counts what is put back': async (bench) => {
    const broker = await bench.connect();
    await fail(broker, upTo(6));
    const result = await broker
      .deadLetters(jobs)
      .replay({ limit: 2, filter: async ({ body }) => body.n > 0 });
    expect(result).toEqual({ replayed: 2, invalid: 0, skipped: 1 });
    expect(numbersOf(await broker.deadLetters(jobs).list())).toEqual([0, 3, 4, 5]);
  },

  'goes over each once, also when all fail again at once, or none is put back': async (bench) => {
    const broker = await bench.connect();
    await fail(broker, upTo(120));
    let runs = 0;
    const consumer = broker.consumer(jobs, () => {
      runs++;
      throw new DeadLetter('still no good');
    });
    await consumer.ready;
    const letters = broker.deadLetters(jobs);
    expect(await letters.replay()).toEqual({ replayed: 120, invalid: 0, skipped: 0 });
    await expect.poll(async () => (await broker.stats('jobs.dead')).messages).toBe(120);
    expect(runs).toBe(120);
    expect(await letters.replay({ filter: () => false })).toEqual({ replayed: 0, invalid: 0, skipped: 120 });
    expect((await letters.list({ limit: 200 })).length).toBe(120);
  },

  'takes its time when told to': async (bench) => {
    const broker = await bench.connect();
    await fail(broker, upTo(5));
    const startedAt = performance.now();
    await broker.deadLetters(jobs).replay({ ratePerSecond: 20 });
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(199);
  },

  'that is aborted keeps the rest where it is': async (bench) => {
    const broker = await bench.connect();
    await fail(broker, upTo(5));
    const abort = new AbortController();
    const reason = new Error('enough');
    const replaying = broker.deadLetters(jobs).replay({
      ratePerSecond: 0.1,
      signal: abort.signal,
      onProgress: ({ done }) => done === 1 && abort.abort(reason),
    });
    await expect(replaying).rejects.toBe(reason);
    expect(numbersOf(await broker.deadLetters(jobs).list())).toEqual([1, 2, 3, 4]);
    await expect.poll(() => broker.stats(jobs)).toMatchObject({ messages: 1 });
  },

  'ends with what its filter or its listener throws, and loses nothing': async (bench) => {
    const broker = await bench.connect();
    await fail(broker, upTo(4));
    const error = new Error('wrong filter');
    const filter = ({ body }: { body: { n: number } }) => {
      if (body.n === 2) throw error;
      return false;
    };
    await expect(broker.deadLetters(jobs).replay({ filter })).rejects.toBe(error);
    const onProgress = () => {
      throw error;
    };
    await expect(broker.deadLetters(jobs).replay({ limit: 1, onProgress })).rejects.toBe(error);
    expect(numbersOf(await broker.deadLetters(jobs).list())).toEqual([1, 2, 3]);
  },

  'rejects when its queue is full, and keeps what did not fit': async (bench) => {
    const broker = await bench.connect();
    const small = queue('small', Job, {
      type: 'classic',
      retry: false,
      maxLength: 2,
      overflow: 'reject-publish',
    });
    for (const n of [1, 2, 3, 4]) await fail(broker, [n], { contract: small });
    await expect(broker.deadLetters(small).replay()).rejects.toMatchObject({ code: 'REJECTED' });
    await expect.poll(() => broker.stats(small)).toMatchObject({ messages: 2 });
    expect(numbersOf(await broker.deadLetters(small).list())).toEqual([3, 4]);
  },

  'declares its queue again when that is gone': async (bench) => {
    const broker = await bench.connect();
    await fail(broker, [1]);
    await broker.delete(jobs);
    expect(await broker.deadLetters(jobs).replay()).toMatchObject({ replayed: 1 });
    await expect.poll(() => broker.stats(jobs)).toMatchObject({ messages: 1 });
  },

  'ends when the broker is closed, cleanly, and keeps the rest': async (bench) => {
    const [broker, other] = [await bench.connect(), await bench.connect()];
    await fail(broker, upTo(5));
    const begun = gate();
    const replaying = broker.deadLetters(jobs).replay({ ratePerSecond: 0.1, onProgress: begun.open });
    replaying.catch(() => undefined);
    await begun.opened;
    expect(await broker.close()).toEqual({ clean: true });
    await expect(replaying).rejects.toMatchObject({ code: 'CLOSED' });
    expect(numbersOf(await other.deadLetters(jobs).list())).toEqual([1, 2, 3, 4]);
  },
});

suite('a dead-letter queue that several queues share', {
  'keeps the letters of each apart': async (bench) => {
    const broker = await bench.connect();
    const options = { retry: false, deadLetter: 'common.dead' } as const;
    const [one, two] = [queue('one', Job, options), queue('two', Job, options)];
    for (const n of [1, 2, 3, 4]) await fail(broker, [n], { contract: n % 2 === 1 ? one : two });
    await using peer = new Peer(bench.target);
    const probe = await peer.channel();
    await probe.publish('common.dead', '{"n":5}');
    expect(numbersOf(await broker.deadLetters(one).list())).toEqual([1, 3]);
    expect(numbersOf(await broker.deadLetters(two).list({ limit: 1 }))).toEqual([2]);
    expect(await broker.deadLetters(one).replay({ filter: ({ body }) => body.n === 1 })).toEqual({
      replayed: 1,
      invalid: 0,
      skipped: 1,
    });
    expect(await broker.deadLetters(one).purge()).toBe(1);
    expect(await broker.deadLetters(one).list()).toEqual([]);
    await expect.poll(() => broker.stats(two)).toMatchObject({ messages: 0 });
    expect(await bodiesIn(bench, 'common.dead', 3)).toEqual([{ n: 2 }, { n: 4 }, { n: 5 }]);
  },

  'gives those of unknown origin to the queue of its name': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(jobs);
    await using peer = new Peer(bench.target);
    const probe = await peer.channel();
    await probe.publish('jobs.dead', '{"n":5}', {
      properties: { headers: { 'leveret-failed-at': 'x', 'leveret-issues': '[[' } },
    });
    const [letter] = await broker.deadLetters(jobs).list();
    expect(letter).toMatchObject({ body: { n: 5 }, error: { code: 'unknown' }, attempt: 1, queue: 'jobs' });
    expect(letter?.failedAt).toBeUndefined();
    expect(await broker.deadLetters(jobs).replay()).toMatchObject({ replayed: 1 });
  },
});

suite('a purge of dead letters', {
  'removes them and says how many': async (bench) => {
    const broker = await bench.connect();
    await fail(broker, upTo(130));
    expect(await broker.deadLetters(jobs).purge()).toBe(130);
    await expect.poll(() => broker.stats('jobs.dead')).toMatchObject({ messages: 0 });
    expect(await broker.deadLetters(jobs).list()).toEqual([]);
  },
});
