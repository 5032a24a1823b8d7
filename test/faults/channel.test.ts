import { Broker, queue } from 'leveret';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { createVhost, type PrivateServer, startPrivateServer } from '../helpers/server/index.js';
import { TcpProxy } from '../helpers/tcp-proxy.js';
import { crashQuorum } from './harness/faults.js';
import { measured } from './measured.js';

const numbers = queue('numbers', z.object({ n: z.number() }));

let server: PrivateServer;
beforeAll(async () => {
  server = await startPrivateServer();
});
afterAll(() => server?.stop());
afterEach(() => void vi.restoreAllMocks());

describe('a connection that is lost while a consumer and a producer set themselves up on it', () => {
  it('is no reason to wait longer, however often it happens', async ({ task }) => {
    await using vhost = await createVhost(server);
    await using proxy = await TcpProxy.listen(vhost.url);
    // Every delay is as long as it may be.
    vi.spyOn(Math, 'random').mockReturnValue(0.99);
    await using broker = await Broker.connect(proxy.via(vhost.url), {
      reconnect: { initialDelayMs: 10, maxDelayMs: 20 },
    });
    const handled: number[] = [];
    const consumer = broker.consumer(numbers, ({ body }) => void handled.push(body.n));
    await consumer.ready;
    const producer = broker.producer(numbers);
    await producer.send({ n: 0 });

    let left = 20;
    proxy.intercept((chunk, direction, connection) => {
      // The first thing that either of them says of the queue.
      if (left === 0 || direction === 'to-client' || !chunk.includes('numbers')) return [chunk];
      left--;
      setImmediate(() => proxy.cut(connection));
      return [];
    });
    proxy.cutAll();
    const sent = producer.send({ n: 1 });
    await expect.poll(() => left, { timeout: 60_000, interval: 5 }).toBe(0);
    const reachableAt = performance.now();
    await sent;
    await expect.poll(() => handled, { timeout: 20_000, interval: 5 }).toContain(1);
    const afterMs = performance.now() - reachableAt;
    measured(task, `back ${Math.round(afterMs)} ms after 20 resets in the set-up`);
    expect(afterMs).toBeLessThan(2_500);
  });
});

describe('a queue whose process on the server crashes', () => {
  it.each([
    ['classic', 'exit(amqqueue:get_pid(Q), kill)'],
    ['quorum', crashQuorum],
  ] as const)('loses nothing that was confirmed (%s)', { timeout: 120_000 }, async (type, crash) => {
    await using vhost = await createVhost(server);
    const tasks = queue('tasks', z.object({ n: z.number() }), { type });
    await using broker = await Broker.connect(vhost.url);
    let recoveries = 0;
    broker.on('consumer-recovered', () => recoveries++);
    const handled = new Set<number>();
    const consumer = broker.consumer(tasks, ({ body }) => void handled.add(body.n), { concurrency: 5 });
    await consumer.ready;
    const producer = broker.producer(tasks);
    const sent: number[] = [];
    const failed: unknown[] = [];
    let isCrashing = true;
    const crashing = (async () => {
      for (let left = 2; left > 0; left--) {
        const name = `rabbit_misc:r(<<"${vhost.name}">>, queue, <<"tasks">>)`;
        await server.ctl('eval', `{ok, Q} = rabbit_amqqueue:lookup(${name}), ${crash}.`);
      }
    })().finally(() => {
      isCrashing = false;
    });
    let n = 0;
    while (isCrashing) {
      const batch = Array.from({ length: 50 }, () => ++n);
      const send = (it: number) =>
        producer.send({ n: it }).then(
          () => sent.push(it),
          (error: unknown) => failed.push(error),
        );
      await Promise.all(batch.map(send));
    }
    await crashing;
    await producer.send({ n: 0 });
    await expect.poll(() => sent.filter((it) => !handled.has(it)), { timeout: 30_000 }).toEqual([]);
    await expect.poll(() => handled.has(0), { timeout: 30_000 }).toBe(true);
    // The server may say that it did not take a message; it never leaves one open.
    for (const error of failed) expect(error).toMatchObject({ code: 'REJECTED' });
    expect(sent.length).toBeGreaterThan(0);
    // Left to the server, a consumer of 3.10 now and then gets nothing more.
    if (type === 'classic') expect(recoveries).toBeGreaterThan(0);
  });
});
