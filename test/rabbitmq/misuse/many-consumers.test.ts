import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';

const numbers = queue('numbers', z.object({ n: z.number() }), { type: 'classic', deadLetter: false });

describe('very many consumers on one broker', () => {
  it('all start, share the messages, and go in one close', { timeout: 120_000 }, async () => {
    await using vhost = await createVhost();
    const broker = await Broker.connect(vhost.url);
    const by = new Map<number, number>();
    const consumers = Array.from({ length: 1_000 }, (_, at) =>
      broker.consumer(numbers, () => void by.set(at, (by.get(at) ?? 0) + 1), { prefetch: 1 }),
    );
    await Promise.all(consumers.map(({ ready }) => ready));
    expect((await broker.stats(numbers)).consumers).toBe(1_000);
    const bodies = Array.from({ length: 3_000 }, (_, n) => ({ n }));
    expect(await broker.producer(numbers).sendAll(bodies)).toMatchObject({ sent: 3_000 });
    const total = () => [...by.values()].reduce((sum, count) => sum + count, 0);
    await expect.poll(total, { timeout: 30_000 }).toBe(3_000);
    expect(by.size).toBeGreaterThan(900);
    expect(broker.health().status).toBe('up');
    expect(await broker.close()).toEqual({ clean: true });
    expect(new Set(await Promise.all(consumers.map(({ closed }) => closed)))).toEqual(new Set([undefined]));
  });

  it('more than the connection has channels: those beyond say so, the others go on', {
    timeout: 120_000,
  }, async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    let handled = 0;
    // The server allows 2 047 channels on a connection.
    const consumers = Array.from({ length: 2_100 }, () => broker.consumer(numbers, () => void handled++));
    const outcomes = await Promise.all(
      consumers.map(({ ready }) => ready.then(() => 'ready' as const).catch((error: unknown) => error)),
    );
    const failures = outcomes.filter((outcome) => outcome !== 'ready');
    expect(failures.length).toBeGreaterThan(50);
    expect(failures.length).toBeLessThan(60);
    for (const failure of failures)
      expect(failure).toMatchObject({
        code: 'CONNECTION_FAILED',
        message: expect.stringMatching(/no channel left/),
      });
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => handled, { timeout: 15_000 }).toBe(1);
    expect((await broker.stats(numbers)).consumers).toBe(2_100 - failures.length);
  });
});
