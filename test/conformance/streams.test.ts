import { DeadLetter, type Message, queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../helpers/recorded-events.js';
import { gate, Seen } from './helpers.js';
import { suite } from './suite.js';

const soon = { attempts: 3, initialDelayMs: 20, jitter: false } as const;
const log = queue('log', z.number(), { type: 'stream', retry: soon });
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

suite('a consumer of a stream', {
  'reads everything that is kept, and so does the next one: nothing is taken away': async (bench) => {
    const broker = await bench.connect();
    await broker.producer(log).sendAll(upTo(5));
    for (const _ of [1, 2]) {
      const seen = new Seen<number>();
      const consumer = broker.consumer(log, seen.handler, { offset: 'first' });
      await expect.poll(() => consumer.stats.acked).toBe(5);
      expect(seen.messages.map(({ body, offset }) => ({ body, offset }))).toEqual(
        upTo(5).map((n) => ({ body: n, offset: n - 1 })),
      );
      expect(await consumer.close()).toEqual({ clean: true });
    }
  },

  'reads what is sent from now on, unless it is told otherwise': async (bench) => {
    const broker = await bench.connect();
    const producer = broker.producer(log);
    await producer.send(1);
    const seen = new Seen<number>();
    await broker.consumer(log, seen.handler).ready;
    await producer.send(2);
    await expect.poll(() => seen.messages.length).toBe(1);
    expect(seen.bodies).toEqual([2]);
  },

  'begins at an offset, at the last block, or at a time': async (bench) => {
    const broker = await bench.connect();
    await broker.producer(log).sendAll(upTo(5));
    const read = async (offset: number | 'last' | Date) => {
      const seen = new Seen<number>();
      await using _ = broker.consumer(log, seen.handler, { offset });
      await expect.poll(() => seen.bodies.includes(5)).toBe(true);
      return seen.bodies;
    };
    expect(await read(3)).toEqual([4, 5]);
    expect((await read('last')).at(-1)).toBe(5);
    expect(await read(new Date(Date.now() - 3_600_000))).toEqual(upTo(5));
  },

  'is a loop, which goes on where it was left': async (bench) => {
    const broker = await bench.connect();
    await broker.producer(log).sendAll(upTo(5));
    const consumer = broker.consumer(log, { offset: 'first' });
    const found: string[] = [];
    for await (const { body, attempt } of consumer) {
      found.push(`${body}/${attempt}`);
      if (body === 2) break;
    }
    for await (const message of consumer) {
      found.push(`${message.body}/${message.attempt}`);
      if (message.body === 4) {
        message.ack();
        break;
      }
    }
    for await (const { body, attempt } of consumer) {
      found.push(`${body}/${attempt}`);
      break;
    }
    // Left with it in hand, without a verdict, the second one comes again, as after a failed attempt.
    expect(found).toEqual(['1/1', '2/1', '2/2', '3/1', '4/1', '5/1']);
  },

  'goes on where it was paused': async (bench) => {
    const broker = await bench.connect();
    const producer = broker.producer(log);
    await producer.sendAll(upTo(20));
    const held = gate();
    const seen = new Seen<number>();
    const consumer = broker.consumer(
      log,
      async (message) => {
        seen.handler(message);
        if (message.body === 3) await held.opened;
      },
      { offset: 'first', prefetch: 5 },
    );
    await expect.poll(() => seen.messages.length).toBe(3);
    await consumer.pause();
    expect(consumer.stats).toMatchObject({ inFlight: 1, waiting: 0 });
    await consumer.resume();
    held.open();
    await expect.poll(() => consumer.stats.acked).toBe(20);
    expect(seen.bodies).toEqual(upTo(20));
  },

  'runs a failed message again in its place, and counts the attempts': async (bench) => {
    const broker = await bench.connect();
    const runs: string[] = [];
    const consumer = broker.consumer(
      log,
      ({ body, attempt }) => {
        runs.push(`${body}/${attempt}`);
        if (body === 2 && attempt < 3) throw new Error('not yet');
      },
      { offset: 'first' },
    );
    await broker.producer(log).sendAll([1, 2, 3]);
    await expect.poll(() => consumer.stats.acked).toBe(3);
    expect(runs).toEqual(['1/1', '2/1', '2/2', '2/3', '3/1']);
    expect(consumer.stats).toMatchObject({ retried: 2, deadLettered: 0 });
  },

  'copies what failed too often, or is given up, to the dead letters and goes on': async (bench) => {
    const broker = await bench.connect();
    const events = recordEvents(broker);
    const handled: number[] = [];
    const consumer = broker.consumer(
      log,
      ({ body }) => {
        if (body === 1) throw new Error('never');
        if (body === 2) throw new DeadLetter('hopeless');
        handled.push(body);
      },
      { offset: 'first' },
    );
    await broker.producer(log).sendAll([1, 2, 3]);
    await expect.poll(() => consumer.stats).toMatchObject({ acked: 1, deadLettered: 2 });
    expect(handled).toEqual([3]);
    expect(events.of('dead-lettered').map(({ attempt }) => attempt)).toEqual([3, 1]);
    await expect.poll(() => broker.stats('log.dead')).toMatchObject({ messages: 2 });
  },

  'passes what it is to drop': async (bench) => {
    const broker = await bench.connect();
    const bare = queue('bare', z.number(), { type: 'stream', retry: false, deadLetter: false });
    const seen = new Seen<number>();
    const consumer = broker.consumer(
      bare,
      (message) => {
        seen.handler(message);
        if (message.body === 1) throw new Error('dropped');
      },
      { offset: 'first' },
    );
    await broker.producer(bare).sendAll([1, 2]);
    await expect.poll(() => consumer.stats).toMatchObject({ acked: 1, deadLettered: 1 });
    expect(seen.bodies).toEqual([1, 2]);
  },

  'dead-letters what does not fit the schema, and goes on': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(log);
    await broker.producer(queue('log', z.unknown(), { declare: false })).sendAll([1, 'two', 3]);
    const seen = new Seen<number>();
    const consumer = broker.consumer(log, seen.handler, { offset: 'first' });
    await expect.poll(() => consumer.stats).toMatchObject({ acked: 2, deadLettered: 1 });
    expect(seen.bodies).toEqual([1, 3]);
  },

  'gets what it gives back once more': async (bench) => {
    const broker = await bench.connect();
    const runs: number[] = [];
    const consumer = broker.consumer(
      log,
      (message) => {
        runs.push(message.body);
        if (message.body === 1 && runs.length === 1) message.requeue();
      },
      { offset: 'first' },
    );
    await broker.producer(log).sendAll([1, 2]);
    await expect.poll(() => consumer.stats.acked).toBe(2);
    expect(runs.sort()).toEqual([1, 1, 2]);
  },

  'passes others by a message that is held up, when it may handle several at once': async (bench) => {
    const broker = await bench.connect();
    const producer = broker.producer(log);
    // One by one: before 4.0 what was written in one block is delivered together, whatever the prefetch.
    for (const n of upTo(10)) await producer.send(n);
    const held = gate();
    const seen = new Seen<number>();
    const consumer = broker.consumer(
      log,
      async (message: Message<number>) => {
        seen.handler(message);
        if (message.body === 1) await held.opened;
      },
      { offset: 'first', concurrency: 2, prefetch: 5 },
    );
    // What is handled behind it is not acknowledged before it, so that the server gives no more than the prefetch.
    await expect.poll(() => consumer.stats.acked).toBe(4);
    expect(consumer.stats).toMatchObject({ inFlight: 1, waiting: 0 });
    held.open();
    await expect.poll(() => consumer.stats.acked).toBe(10);
    expect(seen.bodies).toEqual(upTo(10));
  },

  'reads batches': async (bench) => {
    const broker = await bench.connect();
    await broker.producer(log).sendAll(upTo(5));
    const batches: string[][] = [];
    const consumer = broker.batchConsumer(
      log,
      (messages) => {
        batches.push(messages.map(({ body, attempt }) => `${body}/${attempt}`));
        if (batches.length === 1) throw new Error('not yet');
      },
      { size: 5, maxWaitMs: 600, offset: 'first' },
    );
    await expect.poll(() => consumer.stats.acked).toBe(5);
    expect(batches).toEqual([upTo(5).map((n) => `${n}/1`), upTo(5).map((n) => `${n}/2`)]);
  },

  'comes back when its stream is deleted': async (bench) => {
    const [broker, other] = [await bench.connect(), await bench.connect()];
    const events = recordEvents(broker);
    const seen = new Seen<number>();
    const consumer = broker.consumer(log, seen.handler, { offset: 'first' });
    await other.producer(log).sendAll([1, 2, 3]);
    await expect.poll(() => consumer.stats.acked).toBe(3);
    await other.delete(log);
    await expect.poll(() => events.of('consumer-recovered').length).toBe(1);
    await other.producer(log).send(4);
    await expect.poll(() => seen.messages.length).toBe(4);
    expect(seen.bodies).toEqual([1, 2, 3, 4]);
  },
});

suite('the server', {
  'refuses a stream what no stream can have': async (bench) => {
    const broker = await bench.connect();
    const handle = () => undefined;
    for (const [option, value] of [
      ['noAck', true],
      ['exclusive', true],
      ['priority', 3],
      ['offset', 'end'],
      ['offset', -1],
      ['offset', new Date(Number.NaN)],
    ] as const) {
      expect(() => broker.consumer(log, handle, { [option]: value })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', option }),
      );
    }
    expect(() => broker.consumer(queue('plain', z.number()), handle, { offset: 'first' })).toThrow(/stream/);
    expect(() => queue('old', z.number(), { type: 'stream', arguments: { 'x-max-age': 'a week' } })).toThrow(
      /x-max-age/,
    );
    await expect(
      broker.declare(
        queue('short', z.number(), {
          type: 'stream',
          maxLengthBytes: 1_000_000,
          arguments: { 'x-max-age': '7D', 'x-stream-max-segment-size-bytes': 500_000 },
        }),
      ),
    ).resolves.toBeUndefined();
  },

  'empties no stream': async (bench) => {
    const broker = await bench.connect();
    await broker.producer(log).send(1);
    await expect(broker.purge(log)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await expect(broker.purge('log')).rejects.toMatchObject({ code: 'MISMATCH' });
    const seen = new Seen<number>();
    broker.consumer(log, seen.handler, { offset: 'first' });
    await expect.poll(() => seen.messages.length).toBe(1);
  },
});
