import { DeadLetter, queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../helpers/recorded-events.js';
import { gate } from './helpers.js';
import { suite } from './suite.js';

const Step = z.object({ key: z.string(), n: z.number() });
const soon = { attempts: 3, initialDelayMs: 30, jitter: false } as const;
const steps = queue('steps', Step, { retry: soon });
const classic = queue('classic', Step, { type: 'classic', retry: soon });

const stepsOf = (text: string) =>
  text.split(' ').map((step) => ({ key: step.slice(0, 1), n: Number(step.slice(1)) }));
const orderBy = ({ body }: { body: z.output<typeof Step> }) => body.key;

for (const contract of [steps, classic]) {
  suite(`a consumer of a ${contract.type} queue that orders by a key`, {
    'handles one message of a key at a time, and other keys meanwhile': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(contract).sendAll(stepsOf('a1 a2 a3 b1 c1 c2'));
      const begun: string[] = [];
      const held = gate();
      const consumer = broker.consumer(
        contract,
        async ({ body: { key, n } }) => {
          begun.push(`${key}${n}`);
          if (key === 'a') await held.opened;
        },
        { concurrency: 2, orderBy, prefetch: 10 },
      );
      // The busy key has one place; the others go by in the other one.
      await expect.poll(() => consumer.stats.acked).toBe(3);
      expect(begun).toEqual(['a1', 'b1', 'c1', 'c2']);
      expect(consumer.stats).toMatchObject({ inFlight: 1, waiting: 2 });
      held.open();
      await expect.poll(() => consumer.stats.acked).toBe(6);
      expect(begun.slice(4)).toEqual(['a2', 'a3']);
    },

    'holds the others of a key until a failed message has run again': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(contract).sendAll(stepsOf('a1 a2 b1'));
      const begun: string[] = [];
      const consumer = broker.consumer(
        contract,
        ({ body: { key, n }, attempt }) => {
          begun.push(`${key}${n}/${attempt}`);
          if (key === 'a' && n === 1 && attempt < 3) throw new Error('not yet');
        },
        { concurrency: 5, orderBy, prefetch: 10 },
      );
      await expect.poll(() => consumer.stats.acked).toBe(3);
      expect(begun.filter((it) => it.startsWith('a'))).toEqual(['a1/1', 'a1/2', 'a1/3', 'a2/1']);
      expect(begun.indexOf('b1/1')).toBeLessThan(2);
      expect(consumer.stats).toMatchObject({ retried: 2, deadLettered: 0 });
    },

    'goes on with a key when its message is given up': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(contract).sendAll(stepsOf('a1 a2'));
      const begun: string[] = [];
      const consumer = broker.consumer(
        contract,
        ({ body: { key, n } }) => {
          begun.push(`${key}${n}`);
          if (n === 1) throw new DeadLetter('no');
        },
        { concurrency: 5, orderBy, prefetch: 10 },
      );
      await expect.poll(() => consumer.stats).toMatchObject({ acked: 1, deadLettered: 1 });
      expect(begun).toEqual(['a1', 'a2']);
    },

    'takes a key that cannot be told for a failure of the message': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(contract).sendAll(stepsOf('a1 b1'));
      const consumer = broker.consumer(contract, () => undefined, {
        concurrency: 5,
        orderBy: ({ body, attempt }) => {
          if (body.key === 'a') throw new Error(`no key, attempt ${attempt}`);
          return body.key;
        },
      });
      await expect.poll(() => consumer.stats).toMatchObject({ acked: 1, deadLettered: 1 });
      expect(consumer.stats).toMatchObject({ retried: 2 });
    },

    'takes two dates of one moment for one key': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(contract).sendAll(stepsOf('a1 a2 a3 b1'));
      const begun: string[] = [];
      const held = gate();
      const consumer = broker.consumer(
        contract,
        ({ body: { key, n } }) => {
          begun.push(`${key}${n}`);
          return key === 'a' ? held.opened : undefined;
        },
        { concurrency: 4, orderBy: ({ body }) => new Date(body.key === 'a' ? 1 : 2) },
      );
      await expect.poll(() => consumer.stats.acked).toBe(1);
      expect(begun).toEqual(['a1', 'b1']);
      held.open();
      await expect.poll(() => consumer.stats.acked).toBe(4);
      expect(begun).toEqual(['a1', 'b1', 'a2', 'a3']);
    },

    'refuses a key of which each message has another one': async (bench) => {
      const broker = await bench.connect();
      const events = recordEvents(broker);
      await broker.producer(contract).send({ key: 'a', n: 1 });
      let runs = 0;
      const consumer = broker.consumer(contract, () => void runs++, {
        orderBy: ({ body }) => [body.key] as never,
      });
      await expect.poll(() => consumer.stats.deadLettered).toBe(1);
      expect(runs).toBe(0);
      expect(events.of('handler-error')[0]?.error).toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringMatching(/'orderBy' must return .*got an array/),
      });
    },

    'handles a thousand messages of ten keys in order': async (bench) => {
      const broker = await bench.connect();
      const all = Array.from({ length: 1_000 }, (_, n) => ({ key: String(n % 10), n }));
      await broker.producer(contract).sendAll(all);
      const ended = new Map<string, number[]>();
      let most = 0;
      let running = 0;
      const consumer = broker.consumer(
        contract,
        async ({ body: { key, n } }) => {
          most = Math.max(most, ++running);
          await new Promise((resolve) => setImmediate(resolve));
          ended.set(key, [...(ended.get(key) ?? []), n]);
          running--;
        },
        { concurrency: 20, orderBy, prefetch: 100 },
      );
      await expect.poll(() => consumer.stats.acked).toBe(1_000);
      for (const numbers of ended.values()) expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      expect(ended.size).toBe(10);
      expect(most).toBeGreaterThan(1);
      expect(most).toBeLessThanOrEqual(10);
    },

    'gives back in order what it has taken ahead when it closes': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(contract).sendAll(stepsOf('a1 a2 b1 a3'));
      const held = gate();
      const consumer = broker.consumer(contract, () => held.opened, {
        concurrency: 1,
        orderBy,
        prefetch: 10,
      });
      await expect.poll(() => consumer.stats).toMatchObject({ inFlight: 1, waiting: 3 });
      const closing = consumer.close();
      await expect.poll(async () => (await broker.stats(contract)).messages).toBe(3);
      held.open();
      expect(await closing).toEqual({ clean: true });
      const seen: string[] = [];
      broker.consumer(contract, ({ body: { key, n } }) => {
        seen.push(`${key}${n}`);
      });
      await expect.poll(() => seen.length).toBe(3);
      expect(seen).toEqual(['a2', 'b1', 'a3']);
    },
  });
}
