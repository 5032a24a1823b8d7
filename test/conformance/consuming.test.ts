import { DeadLetter, exchange, queue, RetryLater } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../helpers/recorded-events.js';
import { gate, Seen } from './helpers.js';
import { suite } from './suite.js';

const soon = { attempts: 3, initialDelayMs: 5, jitter: false } as const;
const jobs = queue('jobs', z.object({ n: z.number() }), { retry: soon });
const classic = queue('classic', z.object({ n: z.number() }), { type: 'classic', retry: soon });

for (const contract of [jobs, classic]) {
  suite(`a consumer of a ${contract.type} queue`, {
    'handles in order, and acknowledges': async (bench) => {
      const broker = await bench.connect();
      const seen = new Seen<{ n: number }>();
      const consumer = broker.consumer(contract, seen.handler);
      await consumer.ready;
      for (const n of [1, 2, 3]) await broker.producer(contract).send({ n });
      await expect.poll(() => consumer.stats.acked).toBe(3);
      expect(seen.bodies).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
      await consumer.close();
      await expect.poll(() => broker.stats(contract)).toEqual({ messages: 0, consumers: 0 });
    },

    'waits for a schema that answers later, and refuses what it refuses': async (bench) => {
      const broker = await bench.connect();
      const even = queue(contract.name, z.object({ n: z.number().refine(async (n) => n % 2 === 0) }), {
        type: contract.type,
        retry: soon,
      });
      const seen = new Seen<{ n: number }>();
      const consumer = broker.consumer(even, seen.handler);
      await consumer.ready;
      for (const n of [1, 2]) await broker.producer(contract).send({ n });
      await expect.poll(() => consumer.stats).toMatchObject({ acked: 1, deadLettered: 1 });
      expect(seen.bodies).toEqual([{ n: 2 }]);
    },

    'tries again what failed, and counts the attempts': async (bench) => {
      const broker = await bench.connect();
      const attempts: number[] = [];
      const consumer = broker.consumer(contract, ({ attempt }) => {
        attempts.push(attempt);
        if (attempt < 3) throw new Error('not yet');
      });
      await broker.producer(contract).send({ n: 1 });
      await expect.poll(() => consumer.stats.acked).toBe(1);
      expect(attempts).toEqual([1, 2, 3]);
    },

    'dead-letters what failed too often': async (bench) => {
      const broker = await bench.connect();
      const events = recordEvents(broker);
      let runs = 0;
      broker.consumer(contract, () => {
        runs++;
        throw new Error('never');
      });
      const { messageId } = await broker.producer(contract).send({ n: 1 });
      await expect.poll(() => events.of('dead-lettered').length).toBe(1);
      expect(runs).toBe(3);
      expect(events.of('handler-error')).toHaveLength(3);
      expect(events.of('dead-lettered')).toMatchObject([
        { queue: contract.name, deadLetterQueue: `${contract.name}.dead`, messageId, attempt: 3 },
      ]);
      await expect.poll(() => broker.stats(`${contract.name}.dead`)).toMatchObject({ messages: 1 });
    },

    'obeys the verdicts that a handler throws': async (bench) => {
      const broker = await bench.connect();
      const attempts: string[] = [];
      const consumer = broker.consumer(contract, ({ body, attempt }) => {
        attempts.push(`${body.n}/${attempt}`);
        if (body.n === 1) throw new DeadLetter('hopeless');
        if (attempt === 1) throw new RetryLater({ delayMs: 1 });
      });
      await broker.producer(contract).sendAll([{ n: 1 }, { n: 2 }]);
      await expect.poll(() => consumer.stats).toMatchObject({ acked: 1, deadLettered: 1 });
      expect(attempts.sort()).toEqual(['1/1', '2/1', '2/2']);
    },

    'sees what it gave back again, marked as redelivered': async (bench) => {
      const broker = await bench.connect();
      const seen: boolean[] = [];
      const consumer = broker.consumer(contract, (message) => {
        seen.push(message.redelivered);
        if (!message.redelivered) message.requeue();
      });
      await broker.producer(contract).send({ n: 1 });
      await expect.poll(() => consumer.stats.acked).toBe(1);
      expect(seen).toEqual([false, true]);
    },

    'shares the messages with others': async (bench) => {
      const [one, two] = [await bench.connect(), await bench.connect()];
      const [first, second] = [new Seen<{ n: number }>(), new Seen<{ n: number }>()];
      await Promise.all([
        one.consumer(contract, first.handler).ready,
        two.consumer(contract, second.handler).ready,
      ]);
      for (let n = 0; n < 10; n++) await one.producer(contract).send({ n });
      await expect.poll(() => first.messages.length + second.messages.length).toBe(10);
      expect({ first: first.messages.length, second: second.messages.length }).toEqual({
        first: 5,
        second: 5,
      });
    },

    'gives back what it has not looked at when it closes': async (bench) => {
      const broker = await bench.connect();
      const held = gate();
      const consumer = broker.consumer(contract, () => held.opened, { prefetch: 10 });
      await broker.producer(contract).sendAll([{ n: 1 }, { n: 2 }, { n: 3 }]);
      await expect.poll(() => consumer.stats).toMatchObject({ inFlight: 1, waiting: 2 });
      const closing = consumer.close();
      await expect.poll(async () => (await broker.stats(contract)).messages).toBe(2);
      held.open();
      expect(await closing).toEqual({ clean: true });
      const seen = new Seen<{ n: number }>();
      broker.consumer(contract, seen.handler);
      await expect.poll(() => seen.messages.length).toBe(2);
      expect(seen.messages.map(({ body: { n }, redelivered }) => ({ n, redelivered }))).toEqual([
        { n: 2, redelivered: true },
        { n: 3, redelivered: true },
      ]);
    },

    'pauses and goes on': async (bench) => {
      const broker = await bench.connect();
      const seen = new Seen<{ n: number }>();
      const consumer = broker.consumer(contract, seen.handler);
      await consumer.ready;
      await consumer.pause();
      await broker.producer(contract).send({ n: 1 });
      await expect.poll(() => broker.stats(contract)).toEqual({ messages: 1, consumers: 0 });
      await consumer.resume();
      await expect.poll(() => seen.messages.length).toBe(1);
      expect(consumer.state.status).toBe('running');
    },

    'comes back when its queue is deleted': async (bench) => {
      const [broker, other] = [await bench.connect(), await bench.connect()];
      const events = recordEvents(broker);
      const seen = new Seen<{ n: number }>();
      await broker.consumer(contract, seen.handler).ready;
      await other.delete(contract);
      await expect.poll(() => events.of('consumer-recovered').length).toBe(1);
      await other.producer(contract).send({ n: 1 });
      await expect.poll(() => seen.messages.length).toBe(1);
      expect(seen.bodies).toEqual([{ n: 1 }]);
    },

    'dead-letters what does not fit the schema': async (bench) => {
      const broker = await bench.connect();
      const events = recordEvents(broker);
      const seen = new Seen<{ n: number }>();
      broker.consumer(contract, seen.handler);
      const loose = queue(contract.name, z.object({ n: z.string() }), { declare: false });
      await broker.declare(contract);
      const { messageId } = await broker.producer(loose).send({ n: 'one' });
      await expect.poll(() => events.of('dead-lettered').length).toBe(1);
      expect(events.of('invalid-message')).toMatchObject([{ messageId, issues: [{ path: ['n'] }] }]);
      expect(seen.messages).toEqual([]);
    },

    'handles as many at once as it may': async (bench) => {
      const broker = await bench.connect();
      const held = gate();
      let most = 0;
      let running = 0;
      const consumer = broker.consumer(
        contract,
        async () => {
          most = Math.max(most, ++running);
          await held.opened;
          running--;
        },
        { concurrency: 3 },
      );
      const { failed } = await broker.producer(contract).sendAll([1, 2, 3, 4, 5].map((n) => ({ n })));
      expect(failed).toEqual([]);
      await expect.poll(() => running).toBe(3);
      held.open();
      await expect.poll(() => consumer.stats.acked).toBe(5);
      expect(most).toBe(3);
    },

    'without acknowledgements forgets at once': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(contract).sendAll([{ n: 1 }, { n: 2 }]);
      const held = gate();
      const consumer = broker.consumer(contract, () => held.opened, { noAck: true });
      await expect.poll(() => consumer.stats.waiting).toBe(1);
      await expect.poll(() => broker.stats(contract)).toMatchObject({ messages: 0 });
      held.open();
    },

    'without acknowledgements still dead-letters what is given up, by verdict or by error': async (bench) => {
      const broker = await bench.connect();
      const consumer = broker.consumer(
        contract,
        (message) => {
          if (message.body.n === 1) message.deadLetter('hopeless');
          if (message.body.n === 2) throw new DeadLetter('hopeless');
          throw new Error('no second attempt');
        },
        { noAck: true },
      );
      await consumer.ready;
      for (const n of [1, 2, 3]) await broker.producer(contract).send({ n });
      await expect.poll(() => consumer.stats.deadLettered).toBe(2);
      const letters = await broker.deadLetters(contract).list();
      expect(letters.map(({ body, error }) => `${body.n} ${error.message}`).sort()).toEqual([
        '1 hopeless',
        '2 hopeless',
      ]);
    },

    'of a higher priority is served first': async (bench) => {
      const broker = await bench.connect();
      const [low, high] = [new Seen<{ n: number }>(), new Seen<{ n: number }>()];
      await broker.consumer(contract, low.handler).ready;
      await broker.consumer(contract, high.handler, { priority: 5 }).ready;
      for (const n of [1, 2, 3]) await broker.producer(contract).send({ n });
      await expect.poll(() => high.messages.length).toBe(3);
      expect(low.messages).toEqual([]);
    },

    'is a loop that acknowledges when it asks for the next one': async (bench) => {
      const broker = await bench.connect();
      await broker.producer(contract).sendAll([{ n: 1 }, { n: 2 }, { n: 3 }]);
      const found: number[] = [];
      const consumer = broker.consumer(contract);
      for await (const { body } of consumer) {
        found.push(body.n);
        if (body.n === 2) break;
      }
      // The current message is requeued, and so are the unseen ones.
      await expect.poll(async () => (await broker.stats(contract)).messages).toBe(2);
      const seen = new Seen<{ n: number }>();
      broker.consumer(contract, seen.handler);
      await expect.poll(() => seen.messages.length).toBe(2);
      expect(found).toEqual([1, 2]);
      // Before 4.3 it may also count that it was delivered once more on the way out.
      const again = seen.messages.find(({ body }) => body.n === 2);
      expect(again?.attempt).toBeGreaterThanOrEqual(2);
    },
  });
}

suite('a consumer that cannot go on', {
  'is seen in the health of its broker until another one takes its place': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(jobs);
    const other = queue('jobs', z.object({ n: z.number() }), { maxLength: 5 });
    const failed = broker.consumer(other, () => undefined);
    await expect(failed.ready).rejects.toMatchObject({ code: 'MISMATCH' });
    const dead = { queue: 'jobs', state: 'closed', lastDeliveryAt: undefined, inFlight: 0 };
    expect(broker.health()).toMatchObject({ status: 'degraded', consumers: [dead] });
    await broker.consumer(jobs, () => undefined).ready;
    expect(broker.health()).toMatchObject({ status: 'up', consumers: [{ queue: 'jobs', state: 'running' }] });
    await broker.close();
    expect(broker.health().consumers).toEqual([]);
  },

  'of a private subscription gives its place to the next one, which has another queue': async (bench) => {
    const broker = await bench.connect();
    const [events, other] = [exchange('events', z.any()), exchange('events', z.any(), { type: 'fanout' })];
    await broker.declare(other);
    await expect(broker.consumer(events.subscription('eu'), () => {}).ready).rejects.toMatchObject({
      code: 'MISMATCH',
    });
    await broker.delete(other);
    await broker.consumer(events.subscription('us'), () => {}).ready;
    expect(broker.health().status).toBe('degraded');
    await broker.consumer(events.subscription('eu'), () => {}).ready;
    expect(broker.health().status).toBe('up');
  },
});
