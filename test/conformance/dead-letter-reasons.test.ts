import {
  type Broker,
  DeadLetter,
  type DeadLetterEntry,
  type QueueContract,
  queue,
  RetryLater,
} from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../helpers/recorded-events.js';
import { unreadable } from './helpers.js';
import { Peer } from './port/peer.js';
import { type Case, suite } from './suite.js';

const Job = z.object({ n: z.number() });

/** Waits for so many dead letters of a queue, and lists them. */
async function lettersOf(
  broker: Broker,
  contract: QueueContract<typeof Job>,
  count = 1,
): Promise<DeadLetterEntry<{ n: number }>[]> {
  await expect
    .poll(async () => (await broker.stats(contract.deadLetter ?? '')).messages, { message: 'dead letters' })
    .toBeGreaterThanOrEqual(count);
  return broker.deadLetters(contract).list();
}

for (const type of ['quorum', 'classic'] as const) {
  /** What the server dead-letters says so, in the same words everywhere. */
  const expectReason = (letter: DeadLetterEntry<unknown> | undefined, code: string, words: RegExp) => {
    expect(letter).toMatchObject({ error: { code, message: expect.stringMatching(words) }, queue: 'jobs' });
    expect(letter?.issues).toBeUndefined();
    // To the second, by the server's clock.
    expect(Math.abs((letter?.failedAt?.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
  };

  const cases: Record<string, Case> = {
    'because the time of the queue is over': async (bench) => {
      const broker = await bench.connect();
      const jobs = queue('jobs', Job, { type, messageTtlMs: 50 });
      await broker.producer(jobs).send({ n: 1 }, { messageId: 'late' });
      const [letter] = await lettersOf(broker, jobs);
      expect(letter).toMatchObject({ id: 'late', body: { n: 1 }, attempt: 1 });
      expectReason(letter, 'expired', /^It expired: it waited in 'jobs'/);
    },

    'because its own time is over, and lives on without one when it is replayed': async (bench) => {
      const broker = await bench.connect();
      const jobs = queue('jobs', Job, { type });
      await broker.producer(jobs).send({ n: 1 }, { ttlMs: 50 });
      const [letter] = await lettersOf(broker, jobs);
      expectReason(letter, 'expired', /^It expired/);
      expect(await broker.deadLetters(jobs).replay()).toMatchObject({ replayed: 1 });
      await using peer = new Peer(bench.target);
      const probe = await peer.channel();
      expect((await probe.take('jobs')).properties.expiration).toBeUndefined();
    },

    'because the queue drops the oldest when it is full': async (bench) => {
      const broker = await bench.connect();
      const jobs = queue('jobs', Job, { type, maxLength: 2, overflow: 'drop-head' });
      await broker.producer(jobs).sendAll([{ n: 1 }, { n: 2 }, { n: 3 }]);
      const [letter, ...others] = await lettersOf(broker, jobs);
      expect(letter?.body).toEqual({ n: 1 });
      expectReason(letter, 'maxlen', /^'jobs' was full/);
      expect(others).toEqual([]);
    },

    'but not because a full queue refuses it: then the send says so': async (bench) => {
      const broker = await bench.connect();
      const jobs = queue('jobs', Job, { type, maxLength: 2, overflow: 'reject-publish' });
      // A quorum queue notices when it is over its length.
      const { sent, failed } = await broker
        .producer(jobs, { maxInFlight: 1 })
        .sendAll(Array.from({ length: 6 }, (_, n) => ({ n })));
      expect(sent).toBeLessThanOrEqual(4);
      expect(failed.every(({ error }) => (error as { code: string }).code === 'REJECTED')).toBe(true);
      await expect.poll(() => broker.stats(jobs)).toMatchObject({ messages: sent });
      expect(await broker.deadLetters(jobs).list()).toEqual([]);
    },

    'because another client rejects it': async (bench) => {
      const broker = await bench.connect();
      const jobs = queue('jobs', Job, { type });
      await broker.producer(jobs).send({ n: 1 });
      await using peer = new Peer(bench.target);
      const probe = await peer.channel();
      const consumer = await probe.consume('jobs', 1);
      await expect.poll(() => consumer.received.length).toBe(1);
      probe.channel.reject(1, { requeue: false });
      const [letter] = await lettersOf(broker, jobs);
      expectReason(letter, 'rejected', /^A consumer of 'jobs' rejected it/);
    },
  };

  if (type === 'quorum') {
    cases['because it came back more often than the delivery limit allows'] = async (bench) => {
      const broker = await bench.connect();
      const jobs = queue('jobs', Job, { deliveryLimit: 2 });
      await broker.producer(jobs).send({ n: 1 });
      await using peer = new Peer(bench.target);
      const probe = await peer.channel();
      const consumer = await probe.consume('jobs', 1);
      for (const at of [1, 2, 3]) {
        await expect.poll(() => consumer.received.length).toBe(at);
        probe.channel.reject(at, { requeue: true });
      }
      const [letter] = await lettersOf(broker, jobs);
      expectReason(letter, 'delivery_limit', /^It was returned to 'jobs' more often/);
      expect(letter?.attempt).toBe(3);
      // Replayed, it has all of its deliveries before it again.
      await broker.deadLetters(jobs).replay();
      await expect.poll(() => consumer.received.length).toBe(4);
      expect(consumer.received[3]?.redelivered).toBe(false);
    };
  } else {
    cases['because a full queue refuses it and is to keep it: the send fails, and the letter is there'] =
      async (bench) => {
        const broker = await bench.connect();
        const jobs = queue('jobs', Job, { type: 'classic', maxLength: 1, overflow: 'reject-publish-dlx' });
        const producer = broker.producer(jobs);
        await producer.send({ n: 1 });
        await expect(producer.send({ n: 2 })).rejects.toMatchObject({ code: 'REJECTED' });
        const [letter] = await lettersOf(broker, jobs);
        expect(letter?.body).toEqual({ n: 2 });
        expectReason(letter, 'maxlen', /^'jobs' was full/);
      };
  }
  suite(`a message of a ${type} queue is dead-lettered by the server`, cases);
}

/** Of a message that a consumer gives up, as it lies in the dead-letter queue. */
const headersIn = ({ properties }: { properties: { headers?: unknown } }) => {
  // Versions before 4 add a count of their own, of the dead-letter queue.
  const { 'x-delivery-count': _count, ...headers } = properties.headers as Record<string, unknown>;
  return headers;
};

suite('a message that a consumer gives up', {
  'keeps the headers of its sender, but not those that route it or belong to the server': async (bench) => {
    const broker = await bench.connect();
    const jobs = queue('jobs', Job, { retry: false });
    await broker.declare(jobs);
    await using peer = new Peer(bench.target);
    const probe = await peer.channel();
    await probe.queue('copies');
    await probe.publish('jobs', '{"n":1}', {
      properties: {
        messageId: 'm',
        correlationId: 'c',
        headers: { tenant: 'acme', CC: ['copies'], 'x-mine': 1, deep: { er: [1, 'x'] } },
      },
    });
    const events = recordEvents(broker);
    broker.consumer(jobs, () => {
      throw new RangeError('x'.repeat(5_000));
    });
    await expect.poll(() => events.of('dead-lettered').length).toBe(1);
    const letter = await probe.take('jobs.dead');
    expect(letter.text).toBe('{"n":1}');
    expect(letter.properties).toMatchObject({ messageId: 'm', correlationId: 'c' });
    const { 'leveret-error': error, 'leveret-failed-at': at, ...headers } = headersIn(letter);
    expect(headers).toEqual({
      tenant: 'acme',
      deep: { er: [1, 'x'] },
      'x-mine': 1,
      'leveret-attempt': 1,
      'leveret-queue': 'jobs',
    });
    expect(error).toMatch(/^RangeError: x+…$/);
    expect(Buffer.byteLength(error as string)).toBeLessThanOrEqual(2_048);
    expect(Number.isNaN(Date.parse(at as string))).toBe(false);
    // What was sent there, and no copy of the dead letter.
    expect(await probe.ready('copies')).toBe(1);
  },

  'is there also when its headers are too large to copy, and says that they are left out': async (bench) => {
    const broker = await bench.connect();
    const jobs = queue('jobs', Job, { retry: false });
    await broker.declare(jobs);
    await using peer = new Peer(bench.target);
    const probe = await peer.channel();
    await probe.publish('jobs', '{"n":1}', { properties: { headers: { large: 'x'.repeat(62 * 1024) } } });
    broker.consumer(jobs, () => {
      throw new Error('no');
    });
    const [letter] = await lettersOf(broker, jobs);
    expect(letter).toMatchObject({ body: { n: 1 }, error: { code: 'Error', message: 'no' } });
    const headers = headersIn(await probe.take('jobs.dead'));
    expect(headers).toMatchObject({ 'leveret-headers-dropped': true });
    expect(headers.large).toBeUndefined();
  },

  'is not tried again when its body is invalid, and has twenty of the issues at most': async (bench) => {
    const broker = await bench.connect();
    const lists = queue('jobs', z.array(z.number()), { retry: { attempts: 5, initialDelayMs: 60_000 } });
    await broker.declare(lists);
    const loose = queue('jobs', z.array(z.string()), { declare: false });
    const events = recordEvents(broker);
    let runs = 0;
    broker.consumer(lists, () => void runs++);
    await broker.producer(loose).send(Array.from({ length: 50 }, (_, at) => `${at}`));
    await expect.poll(() => events.of('dead-lettered').length).toBe(1);
    const [letter] = await broker.deadLetters(lists).list();
    expect(letter?.error.code).toBe('INVALID_BODY');
    expect(letter?.issues).toHaveLength(20);
    expect(letter?.issues?.[19]).toMatchObject({ path: [19] });
    expect(letter?.attempt).toBe(1);
    expect(runs).toBe(0);
  },

  'is not tried again without a retry policy, nor when `retryIf` says so': async (bench) => {
    const broker = await bench.connect();
    const none = queue('none', Job, { retry: false });
    const asked: unknown[] = [];
    const choosy = queue('choosy', Job, {
      retry: {
        initialDelayMs: 60_000,
        retryIf: (error, message) => {
          asked.push([(error as Error).message, message.id, message.attempt, message.body]);
          return false;
        },
      },
    });
    const handler = () => {
      throw new Error('no');
    };
    for (const contract of [none, choosy]) {
      broker.consumer(contract, handler);
      await broker.producer(contract).send({ n: 1 }, { messageId: 'm' });
      expect(await lettersOf(broker, contract)).toMatchObject([{ attempt: 1, error: { message: 'no' } }]);
    }
    expect(asked).toEqual([['no', 'm', 1, { n: 1 }]]);
  },

  'obeys what is thrown from any depth, and not what is only the cause of an error': async (bench) => {
    const broker = await bench.connect();
    const jobs = queue('jobs', Job, { retry: { attempts: 2, initialDelayMs: 1 } });
    const runs: string[] = [];
    const deep = async (verdict: Error) => {
      await Promise.resolve();
      throw verdict;
    };
    broker.consumer(jobs, async ({ body, attempt }) => {
      runs.push(`${body.n}/${attempt}`);
      if (body.n === 1) await deep(new DeadLetter('hopeless', { cause: new Error('404') }));
      if (body.n === 2) await deep(new RetryLater({ delayMs: 1 }));
      throw new Error('wrapped', { cause: new DeadLetter('hopeless') });
    });
    for (const n of [1, 2, 3]) await broker.producer(jobs).send({ n });
    const letters = await lettersOf(broker, jobs, 3);
    expect(runs.sort()).toEqual(['1/1', '2/1', '2/2', '3/1', '3/2']);
    expect(
      letters.map(({ body, attempt, error }) => `${body.n} ${attempt} ${error.code} ${error.message}`).sort(),
    ).toEqual([
      '1 1 DeadLetter hopeless',
      '2 2 RetryLater The handler asked for another attempt',
      '3 2 Error wrapped',
    ]);
  },

  'says what it can of an error that cannot be read, and the next message is handled': async (bench) => {
    const broker = await bench.connect();
    const jobs = queue('jobs', Job, { retry: false });
    const thrown = unreadable();
    broker.consumer(jobs, ({ body }) => {
      throw thrown[body.n];
    });
    for (const n of thrown.keys()) await broker.producer(jobs).send({ n });
    const letters = await lettersOf(broker, jobs, thrown.length);
    expect(letters.map(({ body, error }) => `${body.n} ${error.code}: ${error.message}`).sort()).toEqual([
      '0 Error: no code',
      '1 Error: an error that cannot be shown',
      '2 Error: no name',
      '3 Error: an error that cannot be shown',
    ]);
  },
});
