import { exchange, queue } from 'leveret';
import { TestBroker } from 'leveret/testing';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

describe('on a test broker', () => {
  it('a partial batch is handled when its time has come', async () => {
    await using broker = await TestBroker.start();
    const readings = queue('readings', z.number());
    const batches: number[] = [];
    broker.batchConsumer(readings, (messages) => void batches.push(messages.length), {
      size: 10,
      maxWaitMs: 5_000,
    });
    await broker.producer(readings).sendAll([1, 2, 3]);
    await broker.advance('4s');
    const before = [...batches];
    await broker.advance('2s');

    expect({ before, batches }).toEqual({ before: [], batches: [3] });
    expect(broker.handled(readings)).toMatchObject([1, 2, 3].map((body) => ({ body, outcome: 'acked' })));
  });

  it('a failed message of a key holds the others of its key for the delay of the policy', async () => {
    await using broker = await TestBroker.start();
    const steps = queue('steps', z.string(), { retry: { initialDelayMs: 60_000, maxDelayMs: 60_000 } });
    const runs: string[] = [];
    broker.consumer(
      steps,
      ({ body, attempt }) => {
        runs.push(`${body}/${attempt}`);
        if (body === 'a1' && attempt === 1) throw new Error('not yet');
      },
      { concurrency: 5, orderBy: ({ body }) => body[0] },
    );
    await broker.producer(steps).sendAll(['a1', 'a2', 'b1']);
    await broker.advance('59s');
    const before = [...runs];
    await broker.advance('2s');

    expect(before).toEqual(['a1/1', 'b1/1']);
    expect(runs.slice(2)).toEqual(['a1/2', 'a2/1']);
  });

  it('a message that would be held for too long leaves its place', async () => {
    await using broker = await TestBroker.start();
    const steps = queue('steps', z.string(), {
      retry: { attempts: 4, initialDelayMs: 900_000, maxDelayMs: 900_000 },
    });
    const runs: string[] = [];
    broker.consumer(
      steps,
      ({ body, attempt }) => {
        runs.push(`${body}/${attempt}`);
        if (body === 'a1') throw new Error('never');
      },
      { orderBy: () => 'a' },
    );
    await broker.producer(steps).sendAll(['a1', 'a2']);
    await broker.advance('16m');
    const before = [...runs];
    await broker.advance('1m');

    expect(before).toEqual(['a1/1', 'a1/2', 'a2/1']);
    expect(runs).toHaveLength(3);
  });

  it('a consumer of a stream goes on where it was when the connection is lost', async () => {
    await using broker = await TestBroker.start();
    const log = queue('log', z.number(), { type: 'stream' });
    const seen: number[] = [];
    broker.consumer(log, ({ body }) => void seen.push(body));
    await broker.producer(log).sendAll([1, 2]);
    await broker.settled();
    await broker.disconnect({ for: '5s' });
    const sent = broker.producer(log).send(3);
    await broker.advance('1m');
    await sent;
    await broker.settled();

    expect(seen).toEqual([1, 2, 3]);
  });

  it('a private subscription comes back with a fresh queue when the connection is lost', async () => {
    await using broker = await TestBroker.start();
    const news = exchange('news', z.string(), { type: 'fanout' });
    const seen: string[] = [];
    const consumer = broker.consumer(news.subscription(), ({ body }) => void seen.push(body));
    await consumer.ready;
    await broker.producer(news).send('before');
    await broker.settled();
    await broker.disconnect();
    await broker.advance('1m');
    await broker.producer(news).send('after', { mandatory: true });
    await broker.settled();

    expect(seen).toEqual(['before', 'after']);
  });
});
