import { queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../helpers/recorded-events.js';
import { gate, Seen } from './helpers.js';
import { suite } from './suite.js';

const soon = { attempts: 2, initialDelayMs: 5, jitter: false } as const;
const readings = queue('readings', z.number(), { retry: soon });
const classic = queue('classic', z.number(), { type: 'classic', retry: soon });

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

for (const contract of [readings, classic]) {
  suite(`a consumer of batches of a ${contract.type} queue`, {
    'gets full batches in order, and the rest after a wait': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(contract).sendAll(upTo(10));
      const batches: number[][] = [];
      const consumer = broker.batchConsumer(
        contract,
        async (messages) => {
          batches.push(messages.map(({ body }) => body));
        },
        { size: 4, maxWaitMs: 600 },
      );
      await expect.poll(() => consumer.stats.acked).toBe(10);
      expect(batches).toEqual([
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10],
      ]);
      await consumer.close();
      await expect.poll(() => broker.stats(contract)).toEqual({ messages: 0, consumers: 0 });
    },

    'obeys a verdict on a single message': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(contract).sendAll(upTo(4));
      const seen: string[] = [];
      const consumer = broker.batchConsumer(
        contract,
        (messages) => {
          for (const message of messages) {
            seen.push(`${message.body}/${message.attempt}`);
            if (message.body === 1) message.deadLetter('not this one');
            if (message.body === 2 && message.attempt === 1) message.retry();
          }
        },
        { size: 4, maxWaitMs: 20 },
      );
      await expect.poll(() => consumer.stats).toMatchObject({ acked: 3, deadLettered: 1 });
      expect(seen.sort()).toEqual(['1/1', '2/1', '2/2', '3/1', '4/1']);
    },

    'tries each message again when it fails, and dead-letters them in the end': async (bench) => {
      const broker = await bench.connect();
      const events = recordEvents(broker);
      await broker.producer(contract).sendAll([1, 2]);
      const consumer = broker.batchConsumer(
        contract,
        async () => {
          throw new Error('down');
        },
        { size: 2, maxWaitMs: 20 },
      );
      await expect.poll(() => consumer.stats.deadLettered).toBe(2);
      expect(events.of('handler-error')).toHaveLength(4);
      await expect.poll(() => broker.stats(`${contract.name}.dead`)).toMatchObject({ messages: 2 });
    },

    'never sees what does not fit the schema': async (bench) => {
      const broker = await bench.connect();
      const loose = queue(contract.name, z.unknown(), { declare: false });
      await broker.declare(contract);
      await broker.producer(loose).sendAll([1, 'two', 3]);
      const batches: number[][] = [];
      const consumer = broker.batchConsumer(
        contract,
        (messages) => {
          batches.push(messages.map(({ body }) => body));
        },
        { size: 2, maxWaitMs: 5_000 },
      );
      await expect.poll(() => consumer.stats).toMatchObject({ acked: 2, deadLettered: 1 });
      expect(batches).toEqual([[1, 3]]);
    },

    'gives the batch that it gathers back when it closes, and lets the running one end': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(contract).sendAll(upTo(5));
      const held = gate();
      const consumer = broker.batchConsumer(contract, () => held.opened, { size: 3, maxWaitMs: 60_000 });
      await expect.poll(() => consumer.stats).toMatchObject({ inFlight: 3, waiting: 2 });
      const closing = consumer.close();
      await expect.poll(async () => (await broker.stats(contract)).messages).toBe(2);
      held.open();
      expect(await closing).toEqual({ clean: true });
      const seen = new Seen<number>();
      broker.consumer(contract, seen.handler);
      await expect.poll(() => seen.messages.length).toBe(2);
      expect(seen.bodies).toEqual([4, 5]);
    },
  });
}
