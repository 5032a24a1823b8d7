import { queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { gate, Seen } from './helpers.js';
import { suite } from './suite.js';

const numbers = z.number();
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const dead = (name: string) => queue(`${name}.dead`, numbers, { declare: false, deadLetter: false });

for (const type of ['quorum', 'classic'] as const) {
  suite(`a ${type} queue`, {
    'dead-letters what waits longer than its messages may': async (bench) => {
      const broker = await bench.connect();
      const brief = queue('brief', numbers, { type, messageTtlMs: 50 });
      await broker.producer(brief).sendAll([1, 2]);
      const seen = new Seen<number>();
      broker.consumer(dead('brief'), seen.handler);
      await expect.poll(() => seen.messages.length).toBe(2);
      expect(seen.bodies).toEqual([1, 2]);
      await expect.poll(() => broker.stats(brief)).toMatchObject({ messages: 0 });
    },

    'dead-letters a message that waits longer than it may itself': async (bench) => {
      const broker = await bench.connect();
      const mixed = queue('mixed', numbers, { type });
      await broker.producer(mixed).send(1, { ttlMs: 50 });
      await broker.producer(mixed).send(2);
      const seen = new Seen<number>();
      broker.consumer(dead('mixed'), seen.handler);
      await expect.poll(() => seen.messages.length).toBe(1);
      expect(seen.bodies).toEqual([1]);
      await expect.poll(() => broker.stats(mixed)).toMatchObject({ messages: 1 });
    },

    'of a length refuses what is too much, and goes on when there is room': async (bench) => {
      const broker = await bench.connect();
      const full = queue('full', numbers, { type, maxLength: 5, overflow: 'reject-publish' });
      const producer = broker.producer(full);
      // A quorum queue notices when it is over its length.
      await expect
        .poll(async () => {
          const { failed } = await producer.sendAll([1]);
          return failed.length === 1;
        })
        .toBe(true);
      await expect(producer.send(2)).rejects.toMatchObject({ code: 'REJECTED' });
      await broker.purge(full);
      await expect
        .poll(() =>
          producer.send(3).then(
            () => true,
            () => false,
          ),
        )
        .toBe(true);
      const seen = new Seen<number>();
      broker.consumer(full, seen.handler);
      await expect.poll(() => seen.bodies.includes(3)).toBe(true);
    },

    'of a length drops the oldest, and keeps the dead letters when it has a place for them': async (
      bench,
    ) => {
      const broker = await bench.connect();
      const kept = queue('kept', numbers, { type, maxLength: 3, overflow: 'drop-head' });
      const lossy = queue('lossy', numbers, { type, maxLength: 3, overflow: 'drop-head', deadLetter: false });
      for (const contract of [kept, lossy]) {
        await broker.producer(contract).sendAll(upTo(5));
        const seen = new Seen<number>();
        broker.consumer(contract, seen.handler);
        await expect.poll(() => seen.messages.length).toBe(3);
        expect(seen.bodies).toEqual([3, 4, 5]);
      }
      const seen = new Seen<number>();
      broker.consumer(dead('kept'), seen.handler);
      await expect.poll(() => seen.messages.length).toBe(2);
      expect(seen.bodies).toEqual([1, 2]);
    },

    'with a single active consumer hands over what a crashed one had in hand': async (bench) => {
      const [one, two] = [await bench.connect(), await bench.connect()];
      const single = queue('single', numbers, { type, singleActiveConsumer: true });
      const held = gate();
      const active = one.consumer(single, () => held.opened, { prefetch: 2 });
      await active.ready;
      const seen = new Seen<number>();
      await two.consumer(single, seen.handler).ready;
      await two.producer(single).sendAll([1, 2, 3]);
      await expect.poll(() => active.stats).toMatchObject({ inFlight: 1, waiting: 1 });
      expect(seen.messages).toEqual([]);
      // Without waiting for its handler, as when its process dies.
      expect(await one.close({ timeoutMs: 0 })).toEqual({ clean: false });
      await expect.poll(() => seen.messages.length).toBe(3);
      expect(seen.bodies.toSorted()).toEqual([1, 2, 3]);
      held.open();
    },

    'serves a consumer of a lower priority when the others have no room': async (bench) => {
      const broker = await bench.connect();
      const ranked = queue('ranked', numbers, { type });
      const held = gate();
      const [high, low] = [new Seen<number>(), new Seen<number>()];
      const preferred = broker.consumer(
        ranked,
        (message) => {
          high.handler(message);
          return held.opened;
        },
        { priority: 10, prefetch: 1 },
      );
      await preferred.ready;
      await broker.consumer(ranked, low.handler, { priority: -1, prefetch: 1 }).ready;
      const producer = broker.producer(ranked);
      for (const n of [1, 2]) await producer.send(n);
      await expect.poll(() => low.messages.length).toBe(1);
      expect({ high: high.bodies, low: low.bodies }).toEqual({ high: [1], low: [2] });
      held.open();
    },

    'forgets what it has delivered without acknowledgements': async (bench) => {
      const broker = await bench.connect();
      const loose = queue('loose', numbers, { type });
      await broker.producer(loose).sendAll([1, 2, 3]);
      const seen = new Seen<number>();
      const consumer = broker.consumer(
        loose,
        (message) => {
          seen.handler(message);
          if (message.body === 1) throw new Error('lost');
        },
        { noAck: true },
      );
      await expect.poll(() => seen.messages.length).toBe(3);
      expect(await consumer.close()).toEqual({ clean: true });
      await expect.poll(() => broker.stats(loose)).toMatchObject({ messages: 0 });
      await expect.poll(() => broker.stats('loose.dead')).toMatchObject({ messages: 0 });
    },
  });
}

suite('the priorities of messages', {
  'on a quorum queue are those of its version': async (bench) => {
    const broker = await bench.connect();
    const ranked = queue('ranked', numbers);
    const producer = broker.producer(ranked);
    for (const priority of [1, 9, 5]) await producer.send(priority, { priority });
    const seen = new Seen<number>();
    broker.consumer(ranked, seen.handler, { prefetch: 1 });
    await expect.poll(() => seen.messages.length).toBe(3);
    // None before 4.0; then two classes, in which 5 and more come first; from 4.3 each by itself.
    const expected = { '3.13': [1, 9, 5], '4.0': [9, 5, 1], '4.3': [9, 5, 1] }[bench.target.family];
    expect(seen.bodies).toEqual(expected);
  },

  'on a classic queue go no higher than it knows': async (bench) => {
    const broker = await bench.connect();
    const ranked = queue('ranked', numbers, { type: 'classic', maxPriority: 3 });
    const producer = broker.producer(ranked);
    for (const priority of [0, 3, 9, 2]) await producer.send(priority, { priority });
    await producer.send(-1);
    const seen = new Seen<number>();
    broker.consumer(ranked, seen.handler, { prefetch: 1 });
    await expect.poll(() => seen.messages.length).toBe(5);
    expect(seen.bodies).toEqual([3, 9, 2, 0, -1]);
  },
});
