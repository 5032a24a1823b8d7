import { type Broker, type Consumer, type Message, queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { gate } from './helpers.js';
import { type Bench, suite } from './suite.js';

const numbers = z.number();
const options = { singleActiveConsumer: true, retry: { attempts: 20 } } as const;
const quorum = queue('single', numbers, options);
const classic = queue('single', numbers, { ...options, type: 'classic' });
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

/** What handlers of several brokers have done: in which order they ended, and how many ran at once. */
class Record {
  readonly ended: number[] = [];
  readonly begun: string[] = [];
  most = 0;
  #running = 0;

  async run({ body }: Message<number>, name: string, work: () => Promise<void>): Promise<void> {
    this.begun.push(`${name}${body}`);
    this.most = Math.max(this.most, ++this.#running);
    await work();
    this.#running--;
    this.ended.push(body);
  }
}

const moment = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** A consumer with a handler, or a loop that does the same. */
type Begin = (broker: Broker, contract: typeof quorum, record: Record, name: string) => Member;

interface Member {
  readonly consumer: Consumer;
  leave(): Promise<unknown>;
}

const withHandler =
  (leave: (consumer: Consumer, broker: Broker, abort: AbortController) => Promise<unknown>): Begin =>
  (broker, contract, record, name) => {
    const abort = new AbortController();
    const handler = (message: Message<number>) => record.run(message, name, () => moment(15));
    const consumer = broker.consumer(contract, handler, { signal: abort.signal });
    return { consumer, leave: () => leave(consumer, broker, abort) };
  };

const ways: Readonly<{ [way: string]: Begin }> = {
  'consumer.close()': withHandler((consumer) => consumer.close()),
  'broker.close()': withHandler((_, broker) => broker.close()),
  'pause()': withHandler((consumer) => consumer.pause()),
  'its signal': withHandler(async (consumer, _, abort) => {
    abort.abort();
    await consumer.closed;
  }),
  'the end of its loop': (broker, contract, record, name) => {
    const consumer = broker.consumer(contract);
    const ending = { isWanted: false };
    const loop = (async () => {
      for await (const message of consumer) {
        await record.run(message, name, () => moment(15));
        message.ack();
        if (ending.isWanted) break;
      }
    })();
    const leave = () => {
      ending.isWanted = true;
      return loop;
    };
    return { consumer, leave };
  },
};

for (const contract of [quorum, classic]) {
  suite(`the single active consumer of a ${contract.type} queue`, {
    ...Object.fromEntries(
      Object.entries(ways).map(([way, begin]) => [
        `leaves its queue in order by ${way}, member after member`,
        async (bench: Bench) => {
          const sender = await bench.connect();
          const record = new Record();
          const members: Member[] = [];
          for (const name of ['a', 'b', 'c']) {
            const member = begin(await bench.connect(), contract, record, name);
            await member.consumer.ready;
            members.push(member);
          }
          await sender.producer(contract).sendAll(upTo(30));
          const last = members.at(-1);
          for (const [at, member] of members.entries()) {
            if (member === last) continue;
            await expect.poll(() => record.ended.length).toBeGreaterThanOrEqual(6 * (at + 1));
            await member.leave();
          }
          await expect.poll(() => record.ended.length).toBe(30);
          expect(record.most).toBe(1);
          expect(record.ended).toEqual(upTo(30));
          expect(record.begun.some((it) => it.startsWith('b'))).toBe(true);
          expect(record.begun.at(-1)).toBe('c29');
          await expect.poll(async () => (await sender.stats(contract)).messages).toBe(0);
        },
      ]),
    ),

    'keeps the queue until the handler that runs has ended': async (bench) => {
      const [first, second] = [await bench.connect(), await bench.connect()];
      const held = gate();
      const handled: string[] = [];
      const active = first.consumer(contract, async ({ body }) => {
        handled.push(`first ${body}`);
        await held.opened;
        handled.push(`ended ${body}`);
      });
      await active.ready;
      await second.consumer(contract, ({ body }) => void handled.push(`second ${body}`)).ready;
      await second.producer(contract).sendAll([1, 2, 3]);
      await expect.poll(() => active.stats).toMatchObject({ inFlight: 1, waiting: 2 });
      const closing = active.close();
      // A round trip, and whatever the server would have delivered meanwhile.
      await second.producer(contract).send(4);
      expect(handled).toEqual(['first 1']);
      held.open();
      expect(await closing).toEqual({ clean: true });
      await expect.poll(() => handled.length).toBe(5);
      expect(handled).toEqual(['first 1', 'ended 1', 'second 2', 'second 3', 'second 4']);
    },

    'goes on in order when it is resumed before it has left': async (bench) => {
      const [first, second] = [await bench.connect(), await bench.connect()];
      const held = gate();
      const handled: number[] = [];
      const active = first.consumer(contract, async ({ body }) => {
        if (body === 1) await held.opened;
        handled.push(body);
      });
      await active.ready;
      const others: number[] = [];
      await second.consumer(contract, ({ body }) => void others.push(body)).ready;
      await second.producer(contract).sendAll([1, 2, 3]);
      await expect.poll(() => active.stats).toMatchObject({ inFlight: 1, waiting: 2 });
      // It does not wait for the handler, which may be what has called it.
      await active.pause();
      expect(active.state).toEqual({ status: 'paused' });
      await active.resume();
      held.open();
      await expect.poll(() => handled.length).toBe(3);
      expect({ handled, others }).toEqual({ handled: [1, 2, 3], others: [] });
      expect(active.state).toEqual({ status: 'running' });
    },

    'hands a queue over when it is paused, and gets it back': async (bench) => {
      const [first, second] = [await bench.connect(), await bench.connect()];
      const handled: string[] = [];
      const recovered: unknown[] = [];
      first.on('consumer-recovered', (event) => recovered.push(event));
      const active = first.consumer(contract, ({ body }) => void handled.push(`first ${body}`));
      await active.ready;
      const other = second.consumer(contract, ({ body }) => void handled.push(`second ${body}`));
      await other.ready;
      const producer = second.producer(contract);
      await producer.send(1);
      await expect.poll(() => handled.length).toBe(1);
      await active.pause();
      await producer.send(2);
      await expect.poll(() => handled.length).toBe(2);
      await active.resume();
      await other.close();
      await producer.send(3);
      await expect.poll(() => handled.length).toBe(3);
      expect(handled).toEqual(['first 1', 'second 2', 'first 3']);
      // It went by itself: nothing had been lost.
      expect(recovered).toEqual([]);
    },
  });
}

suite('a single active consumer', {
  'that orders by a key leaves a failed message in its place': async (bench) => {
    const later = queue('later', numbers, {
      singleActiveConsumer: true,
      retry: { attempts: 20, initialDelayMs: 60_000, jitter: false },
    });
    const [first, second] = [await bench.connect(), await bench.connect()];
    const active = first.consumer(
      later,
      () => {
        throw new Error('not yet');
      },
      { orderBy: () => 'all' },
    );
    await active.ready;
    await second.producer(later).sendAll([1, 2, 3]);
    await expect.poll(() => active.stats.retried).toBe(1);
    const handled: string[] = [];
    await second.consumer(later, ({ body, attempt }) => void handled.push(`${body}/${attempt}`)).ready;
    expect(await active.close()).toEqual({ clean: true });
    await expect.poll(() => handled.length).toBe(3);
    expect(handled.map((it) => it.slice(0, 1))).toEqual(['1', '2', '3']);
    expect(handled[0]).toBe('1/2');
  },

  'of batches hands over in order': async (bench) => {
    const [first, second] = [await bench.connect(), await bench.connect()];
    const ended: number[][] = [];
    const held = gate();
    const batches = { size: 3, maxWaitMs: 20 };
    const active = first.batchConsumer(
      quorum,
      async (messages) => {
        await held.opened;
        ended.push(messages.map(({ body }) => body));
      },
      batches,
    );
    await active.ready;
    await second.batchConsumer(
      quorum,
      (messages) => void ended.push(messages.map(({ body }) => body)),
      batches,
    ).ready;
    await second.producer(quorum).sendAll(upTo(9));
    await expect.poll(() => active.stats.inFlight).toBe(3);
    const closing = active.close();
    await second.producer(quorum).send(9);
    held.open();
    await closing;
    await expect.poll(() => ended.flat().length).toBe(10);
    expect(ended.flat()).toEqual(upTo(10));
    expect(ended[0]).toEqual([0, 1, 2]);
  },
});
