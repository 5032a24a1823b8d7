import { exchange, queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { deferred } from '../../src/util/promises.js';
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

    'is reported after the connection was lost, too': async (bench) => {
      await using way = await bench.target.breakable();
      // An attempt to connect waits for its credentials.
      let dialling = Promise.resolve();
      const credentials = async () => {
        await dialling;
        return { username: 'guest', password: 'guest' };
      };
      const options = { credentials, reconnect: { initialDelayMs: 20 } };
      const [broker, operator] = [await bench.connect(options, way.url), await bench.connect()];
      const events = recordEvents(broker);
      const seen = new Seen<{ n: number }>();
      const bound = news.queue('jobs', { type });
      await broker.consumer(bound, seen.handler).ready;
      const gone = deferred<void>();
      dialling = gone.promise;
      way.cut();
      await operator.delete(bound);
      await operator.delete(news);
      gone.resolve();
      await expect.poll(() => events.of('consumer-recovered').length).toBe(1);
      await operator.producer(news).send({ n: 1 }, { mandatory: true });
      await expect.poll(() => seen.bodies).toEqual([{ n: 1 }]);
      const restored = events.of('topology-restored').map(({ kind, name }) => `${kind} ${name}`);
      expect(restored.sort()).toEqual(['exchange news', 'queue jobs']);
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
