import { exchange, queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../helpers/recorded-events.js';
import { Seen } from './helpers.js';
import { suite } from './suite.js';

const numbers = z.object({ n: z.number() });
const news = exchange('news', numbers, { type: 'fanout' });

for (const type of ['quorum', 'classic'] as const) {
  const jobs = queue('jobs', numbers, { type });

  suite(`a ${type} queue that is deleted under its consumers`, {
    'is declared again, and reported once': async (bench) => {
      const [broker, operator] = [await bench.connect(), await bench.connect()];
      const events = recordEvents(broker);
      const consumers = [1, 2].map(() => broker.consumer(jobs, () => undefined));
      await Promise.all(consumers.map(({ ready }) => ready));
      expect(events.of('topology-restored')).toEqual([]);
      await operator.delete(jobs);
      await expect.poll(() => events.of('consumer-recovered').length).toBe(2);
      expect(events.of('topology-restored')).toEqual([{ kind: 'queue', name: 'jobs' }]);
      await expect.poll(() => operator.stats(jobs)).toMatchObject({ messages: 0 });
    },

    'is reported beside its exchange, each once': async (bench) => {
      const [broker, operator] = [await bench.connect(), await bench.connect()];
      const events = recordEvents(broker);
      const bound = [1, 2, 3].map((n) => news.queue(`bound-${n}`, { type, deadLetter: false }));
      const seen = new Seen<{ n: number }>();
      await Promise.all(bound.map((contract) => broker.consumer(contract, seen.handler).ready));
      for (const contract of [news, ...bound]) await operator.delete(contract);
      await expect.poll(() => events.of('consumer-recovered').length).toBe(3);
      await broker.producer(news).send({ n: 1 });
      await expect.poll(() => seen.bodies.length).toBe(3);
      const restored = events.of('topology-restored').map(({ kind, name }) => `${kind} ${name}`);
      expect(restored.sort()).toEqual(['exchange news', 'queue bound-1', 'queue bound-2', 'queue bound-3']);
    },

    'is reported when a dead letter finds that its own is gone': async (bench) => {
      const [broker, operator] = [await bench.connect(), await bench.connect()];
      const events = recordEvents(broker);
      const failing = queue('failing', numbers, { type, retry: false });
      await broker.consumer(failing, () => Promise.reject(new Error('no'))).ready;
      const producer = broker.producer(failing);
      await producer.send({ n: 1 });
      await expect.poll(() => events.of('dead-lettered').length).toBe(1);
      await operator.delete(queue('failing.dead', numbers, { deadLetter: false }));
      await producer.send({ n: 2 });
      await expect.poll(() => events.of('dead-lettered').length).toBe(2);
      expect(events.of('topology-restored')).toEqual([{ kind: 'queue', name: 'failing.dead' }]);
    },

    'is bound again although its loop was left': async (bench) => {
      const [broker, operator] = [await bench.connect(), await bench.connect()];
      const bound = news.queue('left', { type, deadLetter: false });
      const consumer = broker.consumer(bound);
      await broker.producer(news).send({ n: 1 });
      for await (const message of consumer) {
        message.ack();
        break;
      }
      await operator.delete(news);
      await broker.producer(news).send({ n: 2 });
      await broker.producer(news).send({ n: 3 }, { mandatory: true });
      await expect.poll(() => broker.stats(bound)).toMatchObject({ messages: 2 });
    },
  });
}

suite('a queue that is made to go with its consumers', {
  'is no loss after a reconnect': async (bench) => {
    await using way = await bench.target.breakable();
    const broker = await bench.connect({ reconnect: { initialDelayMs: 20 } }, way.url);
    const events = recordEvents(broker);
    const brief = queue('brief', numbers, { type: 'classic', autoDelete: true, deadLetter: false });
    await broker.consumer(brief, () => undefined).ready;
    await broker.consumer(news.subscription(), () => undefined).ready;
    way.cut();
    await expect.poll(() => events.of('consumer-recovered').length).toBe(2);
    expect(events.of('topology-restored')).toEqual([]);
  },
});

suite('a handler that may take longer than the server waits', {
  'is told of where no consumer can ask for its time': async (bench) => {
    const lines: string[] = [];
    const line = (_fields: object, text: string) => void lines.push(text);
    const broker = await bench.connect({ logger: { debug: line, info: line, warn: line, error: line } });
    const hours = { handlerTimeoutMs: 2 * 60 * 60_000 };
    await broker.consumer(queue('slow', numbers), () => undefined, hours).ready;
    const asked = { arguments: { 'x-consumer-timeout': 10_000_000 } };
    await broker.consumer(queue('asked', numbers, asked), () => undefined, hours).ready;
    await broker.consumer(queue('quick', numbers), () => undefined).ready;
    const expected = [expect.stringMatching(/queue 'slow' may take 120 minutes, .+consumer_timeout/)];
    const warnings = lines.filter((text) => text.includes('may take'));
    expect(warnings).toEqual(bench.target.family === '4.3' ? [] : expected);
  },
});
