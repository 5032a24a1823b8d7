import { type Broker, exchange, queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../helpers/recorded-events.js';
import { SettledVerdicts } from '../helpers/settled-verdicts.js';
import { gate, Seen } from './helpers.js';
import { suite } from './suite.js';

const jobs = queue('jobs', z.object({ n: z.number() }));
const news = exchange('news', z.object({ n: z.number() }), { type: 'fanout' });
const atOnce = queue('at-once', z.object({ n: z.number() }), { retry: { attempts: 2, initialDelayMs: 0 } });
/** The acknowledgement of a message with this verdict has reached the server: a round trip on its connection came after it. */
async function isOnServer(broker: Broker, settled: SettledVerdicts, verdict: 'retry' | 'dead-letter') {
  await settled.until(verdict);
  await broker.stats(atOnce);
}
const reconnect = { initialDelayMs: 20 };

suite('a connection that is lost', {
  'comes back, and so do its consumers': async (bench) => {
    await using way = await bench.target.breakable();
    const broker = await bench.connect({ reconnect }, way.url);
    const events = recordEvents(broker);
    const [seen, subscribed] = [new Seen<{ n: number }>(), new Seen<{ n: number }>()];
    await broker.consumer(jobs, seen.handler).ready;
    await broker.consumer(news.subscription(), subscribed.handler).ready;
    way.cut();
    await expect.poll(() => events.of('consumer-recovered').length).toBe(2);
    await broker.producer(jobs).send({ n: 1 });
    await broker.producer(news).send({ n: 2 }, { mandatory: true });
    await expect.poll(() => seen.messages.length + subscribed.messages.length).toBe(2);
    expect({ seen: seen.bodies, subscribed: subscribed.bodies }).toEqual({
      seen: [{ n: 1 }],
      subscribed: [{ n: 2 }],
    });
    expect(events.of('disconnected').length).toBeGreaterThan(0);
    await expect.poll(() => broker.state.status).toBe('connected');
  },

  'loses no send that is under way': async (bench) => {
    await using way = await bench.target.breakable();
    const broker = await bench.connect({ reconnect }, way.url);
    const producer = broker.producer(jobs);
    await producer.send({ n: 0 });
    const sends = Array.from({ length: 50 }, (_, n) => producer.send({ n: n + 1 }));
    way.cut();
    await Promise.all(sends);
    const seen = new Seen<{ n: number }>();
    broker.consumer(jobs, seen.handler);
    // What was confirmed and not known to be is there twice, with the same id.
    await expect.poll(() => new Set(seen.bodies.map(({ n }) => n)).size).toBe(51);
    expect(new Set(seen.messages.map(({ id }) => id)).size).toBe(51);
  },

  'takes the delivery from a running handler, and does not wait for it': async (bench) => {
    await using way = await bench.target.breakable();
    const broker = await bench.connect({ reconnect }, way.url);
    const held = gate();
    const runs: { redelivered: boolean; attempt: number }[] = [];
    const late: unknown[] = [];
    const consumer = broker.consumer(jobs, async (message) => {
      const { redelivered, attempt, signal } = message;
      runs.push({ redelivered, attempt });
      if (redelivered) return;
      await held.opened;
      late.push(signal.aborted, message.ack());
    });
    await broker.producer(jobs).send({ n: 1 });
    await expect.poll(() => runs.length).toBe(1);
    way.cut();
    await expect
      .poll(() => ({ runs: runs.length, acked: consumer.stats.acked }))
      .toEqual({ runs: 2, acked: 1 });
    held.open();
    await expect.poll(() => late.length).toBe(2);
    expect(runs).toEqual([
      { redelivered: false, attempt: 1 },
      { redelivered: true, attempt: 2 },
    ]);
    expect(late).toEqual([true, false]);
    await expect.poll(() => broker.stats(jobs)).toMatchObject({ messages: 0 });
  },

  'runs no last attempt again whose acknowledgement is lost': async (bench) => {
    await using way = await bench.target.breakable();
    using settled = new SettledVerdicts(atOnce.name);
    const broker = await bench.connect({ reconnect }, way.url);
    const events = recordEvents(broker);
    const attempts: number[] = [];
    const consumer = broker.consumer(atOnce, async (message) => {
      attempts.push(message.attempt);
      if (message.attempt === 1) throw new Error('try again');
      await isOnServer(broker, settled, 'retry');
      message.ack();
      way.cut();
    });
    await broker.producer(atOnce).send({ n: 1 });
    await expect.poll(() => events.of('consumer-recovered').length).toBe(1);
    await expect.poll(() => consumer.stats.recognised).toBe(1);
    await expect.poll(() => broker.stats(atOnce)).toMatchObject({ messages: 0 });
    expect({ attempts, deadLettered: consumer.stats.deadLettered }).toEqual({
      attempts: [1, 2],
      deadLettered: 0,
    });
  },

  'runs a dead letter that was replayed, and that another consumer has given back': async (bench) => {
    await using way = await bench.target.breakable();
    using settled = new SettledVerdicts(atOnce.name);
    const broker = await bench.connect({ reconnect }, way.url);
    const events = recordEvents(broker);
    const runs: number[] = [];
    const consumer = broker.consumer(atOnce, ({ body, attempt }) => {
      runs.push(attempt);
      if (consumer.stats.deadLettered === 0) throw new Error(`${body.n}`);
    });
    await broker.producer(atOnce).send({ n: 1 });
    await expect.poll(() => consumer.stats.deadLettered).toBe(1);
    await isOnServer(broker, settled, 'dead-letter');
    way.cut();
    await expect.poll(() => events.of('consumer-recovered').length).toBe(1);
    await consumer.pause();
    const other = await bench.connect();
    expect(await other.deadLetters(atOnce).replay()).toMatchObject({ replayed: 1 });
    const loop = other.consumer(atOnce);
    for await (const _ of loop) break;
    await loop.close();
    await consumer.resume();
    await expect.poll(() => broker.stats(atOnce)).toMatchObject({ messages: 0 });
    expect({ runs: runs.length, ...consumer.stats }).toMatchObject({ runs: 3, recognised: 0, acked: 1 });
  },

  'makes one dead letter of a message whose acknowledgement is lost': async (bench) => {
    await using way = await bench.target.breakable();
    using settled = new SettledVerdicts(atOnce.name);
    const broker = await bench.connect({ reconnect }, way.url);
    const events = recordEvents(broker);
    const consumer = broker.consumer(atOnce, async ({ attempt }) => {
      if (attempt === 2) await isOnServer(broker, settled, 'retry');
      throw new Error('for good');
    });
    // At this moment the dead letter is confirmed, and the message not yet acknowledged.
    broker.on('dead-lettered', () => {
      if (events.of('dead-lettered').length === 1) way.cut();
    });
    await broker.producer(atOnce).send({ n: 1 });
    await expect.poll(() => events.of('consumer-recovered').length).toBe(1);
    await expect.poll(() => ({ ...consumer.stats })).toMatchObject({ deadLettered: 1, recognised: 1 });
    await expect.poll(() => broker.stats(atOnce)).toMatchObject({ messages: 0 });
    expect((await broker.deadLetters(atOnce).list()).length).toBe(1);
  },

  'takes no last attempt from a message that no handler has seen': async (bench) => {
    await using way = await bench.target.breakable();
    const broker = await bench.connect({ reconnect }, way.url);
    const events = recordEvents(broker);
    const held = gate();
    const runs: number[] = [];
    const twice = queue('twice', z.object({ n: z.number() }), {
      retry: { attempts: 2, initialDelayMs: 500, jitter: false },
    });
    const handler = async ({ body: { n } }: { body: { n: number } }) => {
      runs.push(n);
      if (n === 0) await held.opened;
      else if (runs.filter((it) => it === n).length === 1) throw new Error('try again');
    };
    const consumer = broker.consumer(twice, handler, { prefetch: 10 });
    const producer = broker.producer(twice);
    for (const n of [1, 2, 3]) await producer.send({ n });
    await expect.poll(() => runs.length).toBe(3);
    await producer.send({ n: 0 });
    // The copies for the last attempt wait behind a handler that runs.
    await expect
      .poll(() => ({ runs, waiting: consumer.stats.waiting }))
      .toEqual({
        runs: [1, 2, 3, 0],
        waiting: 3,
      });
    way.cut();
    await expect.poll(() => events.of('consumer-recovered').length).toBe(1);
    held.open();

    // What was moved on while the connection broke can be there twice.
    await expect
      .poll(() => [1, 2, 3].map((n) => runs.filter((it) => it === n).length >= 2))
      .toEqual([true, true, true]);
    await expect.poll(() => broker.stats(twice)).toMatchObject({ messages: 0 });
    expect(consumer.stats.deadLettered).toBe(0);
  },

  'is not seen inside a loop': async (bench) => {
    await using way = await bench.target.breakable();
    const broker = await bench.connect({ reconnect }, way.url);
    const events = recordEvents(broker);
    const producer = broker.producer(jobs);
    await producer.send({ n: 1 });
    const found: number[] = [];
    for await (const message of broker.consumer(jobs)) {
      message.ack();
      found.push(message.body.n);
      if (message.body.n === 2) break;
      if (found.length > 1) continue;
      way.cut();
      await expect.poll(() => events.of('consumer-recovered').length).toBe(1);
      await producer.send({ n: 2 });
    }
    // The acknowledgement of the first may have been lost with the connection: then it was recognised.
    expect(found).toEqual([1, 2]);
  },
});
