import { Broker, queue } from 'leveret';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { createVhost, type PrivateServer, startPrivateServer } from '../helpers/server/index.js';
import { TcpProxy } from '../helpers/tcp-proxy.js';
import { measured } from './measured.js';

const numbers = queue('numbers', z.object({ n: z.number() }));

let server: PrivateServer;
beforeAll(async () => {
  server = await startPrivateServer();
});
afterAll(() => server?.stop());
afterEach(() => void vi.restoreAllMocks());

describe('a producer whose connection is lost again and again', () => {
  it('sends as soon as there is a new one, each time', { timeout: 120_000 }, async ({ task }) => {
    await using vhost = await createVhost(server);
    await using proxy = await TcpProxy.listen(vhost.url);
    // Every delay is as long as it may be.
    vi.spyOn(Math, 'random').mockReturnValue(0.99);
    await using broker = await Broker.connect(proxy.via(vhost.url), {
      reconnect: { initialDelayMs: 10, maxDelayMs: 20 },
    });
    const producer = broker.producer(numbers);
    await producer.send({ n: 0 });
    let slowestMs = 0;
    for (let n = 1; n <= 10; n++) {
      proxy.blackhole('to-client');
      const sent = producer.send({ n });
      const lostAt = performance.now();
      // Ended in order or reset: amqplib tells of the two in different ways.
      if (n % 2 === 0) proxy.endAll();
      else proxy.cutAll();
      proxy.blackhole(false);
      await sent;
      slowestMs = Math.max(slowestMs, performance.now() - lostAt);
    }
    measured(task, `at most ${Math.round(slowestMs)} ms from the loss to the next confirm`);
    expect(slowestMs).toBeLessThan(2_500);
  });
});

describe('a socket that the server does not read from', () => {
  it('holds 100 000 sends of 4 kB back in bounded memory', { timeout: 180_000 }, async ({ task }) => {
    await using vhost = await createVhost(server);
    await using proxy = await TcpProxy.listen(vhost.url);
    const texts = queue('texts', z.string(), { type: 'classic', codec: 'text', deadLetter: false });
    await using broker = await Broker.connect(proxy.via(vhost.url), { heartbeatSeconds: 60 });
    const producer = broker.producer(texts, { maxInFlight: 10_000, maxBuffered: 100_000 });
    await producer.send('the first');
    const memory = () => {
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = memory();
    proxy.blackhole('to-server');
    const body = 'x'.repeat(4_000);
    const outcomes: Record<string, number> = {};
    const sends: Promise<string>[] = [];
    let mostBytes = 0;
    for (let n = 1; n <= 100_000; n++) {
      const sent = producer.send(body, { timeoutMs: 10_000 });
      sends.push(
        sent.then(
          () => 'sent',
          ({ code }: { code: string }) => code,
        ),
      );
      if (n % 500 > 0) continue;
      // What was refused may be collected.
      await new Promise((resolve) => setImmediate(resolve));
      mostBytes = Math.max(mostBytes, memory() - before);
    }
    for (const outcome of await Promise.all(sends)) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    proxy.blackhole(false);
    measured(task, `+${Math.round(mostBytes / 2 ** 20)} MiB, ${JSON.stringify(outcomes)}`);
    // Published, waiting (64 MiB), and what each pending promise costs; amqplib alone took 897 MB for this.
    expect(mostBytes).toBeLessThan(400 * 2 ** 20);
    expect(outcomes.BUFFER_FULL).toBeGreaterThan(50_000);
    expect(outcomes.sent ?? 0).toBe(0);
    await producer.send('the last');
  });
});
