import { setTimeout as delay } from 'node:timers/promises';
import { queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { suite } from './suite.js';

const Job = z.object({ job: z.int() });
const bodies = (count: number) => Array.from({ length: count }, (_, job) => ({ job }));
const inOrder = (count: number) => bodies(count).map(({ job }) => job);

for (const type of ['classic', 'quorum'] as const) {
  const jobs = queue('jobs', Job, { type });

  suite(`the prefetch of a consumer of a ${type} queue that adapts`, {
    'leaves the messages of a slow handler to other workers': async (bench) => {
      const [one, two] = [await bench.connect(), await bench.connect()];
      await one.producer(jobs).sendAll(bodies(30));
      const done = { one: 0, two: 0 };
      const work = (who: 'one' | 'two') => async () => {
        await delay(100);
        done[who]++;
      };
      const consumers = [one.consumer(jobs, work('one')), two.consumer(jobs, work('two'))];
      await expect.poll(() => done.one + done.two).toBe(30);
      expect(done.one).toBeGreaterThanOrEqual(12);
      expect(done.two).toBeGreaterThanOrEqual(12);
      expect(consumers.map(({ stats }) => stats.prefetch)).toEqual([2, 2]);
    },

    'grows with a quick handler, and delivers nothing twice or out of order': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(jobs).sendAll(bodies(3_000));
      const handled: number[] = [];
      let redelivered = 0;
      let most = 0;
      const consumer = broker.consumer(jobs, (message) => {
        handled.push(message.body.job);
        if (message.redelivered) redelivered++;
        most = Math.max(most, consumer.stats.prefetch);
      });
      await consumer.ready;
      await expect.poll(() => consumer.stats.acked).toBe(3_000);
      expect(handled).toEqual(inOrder(3_000));
      expect(redelivered).toBe(0);
      expect(most).toBeGreaterThan(100);
    },

    'grows for a quick loop': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(jobs).sendAll(bodies(2_000));
      const handled: number[] = [];
      let most = 0;
      const consumer = broker.consumer(jobs);
      for await (const { body } of consumer) {
        handled.push(body.job);
        most = Math.max(most, consumer.stats.prefetch);
        if (handled.length === 2_000) break;
      }
      expect(handled).toEqual(inOrder(2_000));
      expect(most).toBeGreaterThan(100);
    },

    'stops with everything that it has grown to, and goes on': async (bench) => {
      const broker = await bench.connect();
      const producer = broker.producer(jobs);
      const handled: number[] = [];
      const consumer = broker.consumer(jobs, ({ body }) => void handled.push(body.job));
      await producer.sendAll(bodies(1_000));
      await expect.poll(() => consumer.stats.prefetch > 2 && handled.length === 1_000).toBe(true);
      await consumer.pause();
      await producer.sendAll(bodies(10));
      await expect.poll(async () => (await broker.stats(jobs)).messages).toBe(10);
      await expect.poll(() => broker.stats(jobs)).toEqual({ messages: 10, consumers: 0 });
      expect(consumer.stats.prefetch).toBe(2);
      await consumer.resume();
      await expect.poll(() => handled.length).toBe(1_010);
    },

    'gives back what waits when the handler has become slow': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(jobs).sendAll(bodies(2_000));
      let isSlow = false;
      const handled = new Set<number>();
      const consumer = broker.consumer(jobs, async ({ body }) => {
        if (body.job === 500) isSlow = true;
        if (isSlow) await delay(100);
        handled.add(body.job);
      });
      await expect.poll(() => isSlow && consumer.stats.waiting > 100).toBe(true);
      // Two seconds of work are 20 messages.
      await expect.poll(() => consumer.stats.waiting).toBeLessThan(20);
      expect(consumer.stats.prefetch).toBe(2);
      isSlow = false;
      await expect.poll(() => handled.size).toBe(2_000);
    },
  });
}
