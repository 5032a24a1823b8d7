import { Broker, queue } from 'leveret';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../helpers/recorded-events.js';
import {
  createVhost,
  type PrivateServer,
  startPrivateServer,
  type TestVhost,
} from '../helpers/server/index.js';
import { type Direction, TcpProxy } from '../helpers/tcp-proxy.js';
import { Network } from './harness/network.js';
import { randomOf } from './harness/random.js';
import { countSockets } from './harness/sockets.js';
import { measured } from './measured.js';

const numbers = queue('numbers', z.object({ n: z.number(), pad: z.string().optional() }));
const quick = { initialDelayMs: 10, maxDelayMs: 50 };

let server: PrivateServer;
beforeAll(async () => {
  server = await startPrivateServer();
});
afterAll(() => server?.stop());
afterEach(() => void vi.restoreAllMocks());

/** A broker with a consumer and a producer at work. */
async function working(url: string, options?: Parameters<typeof Broker.connect>[1]) {
  const broker = await Broker.connect(url, { reconnect: quick, ...options });
  const handled: number[] = [];
  const consumer = broker.consumer(numbers, ({ body }) => void handled.push(body.n));
  await consumer.ready;
  const producer = broker.producer(numbers);
  const sendAndHandle = async (n: number) => {
    await producer.send({ n });
    await expect.poll(() => handled, { timeout: 20_000, interval: 5 }).toContain(n);
  };
  await sendAndHandle(0);
  return {
    broker,
    consumer,
    producer,
    handled,
    sendAndHandle,
    [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
  };
}

async function network(vhost: TestVhost) {
  return Network.listen(vhost.url, randomOf(1));
}

describe('a server that is restarted in order', () => {
  it('is one outage, and work goes on when it is back', { timeout: 120_000 }, async ({ task }) => {
    await using vhost = await createVhost(server);
    await using it = await working(vhost.url);
    await server.settleMetadata();
    const events = recordEvents(it.broker);
    await server.shutdown();
    await expect.poll(() => it.broker.health().status).toBe('down');
    const sent = it.producer.send({ n: 1 }, { timeoutMs: 100_000 });
    await server.start();
    const startedAt = performance.now();
    await sent;
    await expect.poll(() => it.handled, { timeout: 20_000, interval: 5 }).toContain(1);
    measured(
      task,
      `at work ${Math.round(performance.now() - startedAt)} ms after the server said that it was ready`,
    );
    await expect.poll(() => it.broker.state.status).toBe('connected');
    expect(events.of('disconnected').length).toBe(1);
    expect(events.of('connected').length).toBe(1);
  });
});

describe('a connection that is reset', () => {
  it.each<Direction>(['to-server', 'to-client'])(
    'after any number of bytes %s, from the first one on, comes back with one socket for each role',
    { timeout: 120_000 },
    async (direction) => {
      await using vhost = await createVhost(server);
      await using net = await network(vhost);
      await using it = await working(net.proxy.via(vhost.url));
      const events = recordEvents(it.broker);
      let mostSockets = 0;
      const watch = setInterval(() => {
        mostSockets = Math.max(mostSockets, countSockets(process.pid, net.proxy.port) ?? 0);
      }, 5);
      try {
        // The protocol's header, the start, the tuning, the opening, channels, declarations, consuming, the first message.
        for (const [n, bytes] of [1, 8, 9, 100, 400, 460, 500, 520, 560, 600, 700, 900, 1_500].entries()) {
          net.proxy.cutAll();
          net.cutAfter(direction, bytes);
          await it.sendAndHandle(n + 1);
          net.cutAfter(direction, Number.POSITIVE_INFINITY);
          await expect.poll(() => it.broker.state.status, { timeout: 10_000 }).toBe('connected');
        }
      } finally {
        clearInterval(watch);
      }
      expect(mostSockets).toBeLessThanOrEqual(2);
      // Two for each cut and two for the cut that followed, and not one more.
      expect(net.proxy.accepted).toBeLessThanOrEqual(2 + 13 * 4);
      expect(events.of('disconnected').length).toBe(events.of('connected').length);
      expect(net.observer.violations).toEqual([]);
    },
  );
});

describe('an old connection that the server still holds for alive', () => {
  it('keeps an exclusive queue locked only until the server has noticed', { timeout: 60_000 }, async ({
    task,
  }) => {
    await using vhost = await createVhost(server);
    await using proxy = await TcpProxy.listen(vhost.url);
    const own = queue('own', z.object({ n: z.number() }), {
      type: 'classic',
      exclusive: true,
      deadLetter: false,
      retry: false,
    });
    await using broker = await Broker.connect(proxy.via(vhost.url), {
      heartbeatSeconds: 1,
      reconnect: quick,
    });
    const handled: number[] = [];
    const consumer = broker.consumer(own, ({ body }) => void handled.push(body.n));
    await consumer.ready;
    // Both sides hear nothing any more; the client is first to dial again.
    proxy.freeze();
    const frozenAt = performance.now();
    const events = recordEvents(broker);
    await expect.poll(() => events.of('consumer-recovered').length, { timeout: 30_000 }).toBe(1);
    measured(
      task,
      `consuming again ${Math.round(performance.now() - frozenAt)} ms after the freeze (heartbeat 1 s)`,
    );
    expect(consumer.state.status).toBe('running');
  });

  it('gets its prefetched messages handled by the new one as soon as the server has noticed', {
    timeout: 60_000,
  }, async () => {
    await using vhost = await createVhost(server);
    await using proxy = await TcpProxy.listen(vhost.url);
    const held = queue('held', z.object({ n: z.number() }), { type: 'classic' });
    await using direct = await Broker.connect(vhost.url);
    await direct.declare(held);
    await direct.producer(held).sendAll(Array.from({ length: 20 }, (_, n) => ({ n })));
    await using broker = await Broker.connect(proxy.via(vhost.url), {
      heartbeatSeconds: 1,
      reconnect: quick,
    });
    const handled = new Set<number>();
    let isStuck = true;
    const consumer = broker.consumer(
      held,
      ({ body, signal }) => {
        if (!isStuck) return void handled.add(body.n);
        return new Promise<void>((_, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason as Error)),
        );
      },
      { prefetch: 20 },
    );
    await consumer.ready;
    await expect.poll(() => consumer.stats.waiting).toBe(19);
    proxy.freeze();
    isStuck = false;
    await expect.poll(() => handled.size, { timeout: 30_000 }).toBe(20);
  });
});

describe('a network that is', () => {
  const bodies = Array.from({ length: 300 }, (_, n) => ({ n: n + 1, pad: 'x'.repeat(n) }));

  it.each<[string, (net: Network) => void]>([
    ['cut into slices of 1 to 7 bytes', (net) => net.slice(true)],
    ['slow', (net) => net.proxy.delay(50)],
    ['thin', (net) => net.proxy.throttle(100_000)],
  ])('%s passes everything on intact, without a reconnect', { timeout: 60_000 }, async (_what, spoil) => {
    await using vhost = await createVhost(server);
    await using net = await network(vhost);
    await using it = await working(net.proxy.via(vhost.url), { heartbeatSeconds: 60 });
    const events = recordEvents(it.broker);
    spoil(net);
    const { sent, failed } = await it.producer.sendAll(bodies);
    expect({ sent, failed }).toEqual({ sent: 300, failed: [] });
    await expect.poll(() => it.handled.length, { timeout: 30_000 }).toBe(301);
    expect(it.handled).toEqual([0, ...bodies.map(({ n }) => n)]);
    expect(events.names).toEqual([]);
    await net.heal();
  });

  it.each<Direction>(['to-server', 'to-client'])(
    'corrupt %s costs the connection, and no message',
    { timeout: 60_000 },
    async (direction) => {
      await using vhost = await createVhost(server);
      await using net = await network(vhost);
      await using it = await working(net.proxy.via(vhost.url));
      const events = recordEvents(it.broker);
      for (let round = 0; round < 5; round++) {
        net.corruptNext(direction);
        const sends = Array.from({ length: 50 }, (_, n) => it.producer.send({ n: round * 50 + n + 1 }));
        await Promise.all(sends);
        await expect.poll(() => net.isArmed, { timeout: 10_000 }).toBe(false);
      }
      const all = Array.from({ length: 251 }, (_, n) => n);
      await expect.poll(() => all.filter((n) => !it.handled.includes(n)), { timeout: 20_000 }).toEqual([]);
      expect(events.of('disconnected').length).toBeGreaterThan(0);
    },
  );
});

describe('a server that stands still', () => {
  it('lets each send settle at its own limit, and everything go on when it moves again', async () => {
    await using vhost = await createVhost(server);
    await using it = await working(vhost.url, { heartbeatSeconds: 1 });
    await server.pause();
    try {
      const startedAt = performance.now();
      await expect(it.producer.send({ n: 1 }, { timeoutMs: 500 })).rejects.toMatchObject({ code: 'TIMEOUT' });
      expect(performance.now() - startedAt).toBeLessThan(3_000);
      // The dead connection is found, and the new one does not respond.
      await expect.poll(() => it.broker.health().status, { timeout: 15_000 }).toBe('down');
    } finally {
      await server.unpause();
    }
    await it.sendAndHandle(2);
  });
});

describe('a server without space on its disk', () => {
  it('blocks sends and not consumers, until there is space again', { timeout: 120_000 }, async () => {
    await using vhost = await createVhost(server);
    await using it = await working(vhost.url);
    const events = recordEvents(it.broker);
    await it.consumer.pause();
    await it.producer.sendAll(Array.from({ length: 20 }, (_, n) => ({ n: n + 1 })));
    await server.ctl('set_disk_free_limit', '900GB');
    try {
      const last = it.producer.send({ n: 21 }, { timeoutMs: 60_000 });
      await expect.poll(() => events.of('blocked').length, { timeout: 30_000 }).toBe(1);
      await it.consumer.resume();
      await expect.poll(() => it.handled.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(21);
      await expect(it.producer.send({ n: 99 }, { timeoutMs: 200 })).rejects.toMatchObject({
        code: 'TIMEOUT',
      });
      await server.ctl('set_disk_free_limit', '50MB');
      await last;
    } finally {
      await server.ctl('set_disk_free_limit', '50MB');
    }
    await expect.poll(() => events.of('unblocked').length, { timeout: 30_000 }).toBe(1);
    await it.sendAndHandle(22);
  });
});

describe('a server that takes no new connections', () => {
  it('serves the old ones, and is tried again until it takes new ones', { timeout: 120_000 }, async () => {
    await using vhost = await createVhost(server);
    await using proxy = await TcpProxy.listen(vhost.url);
    await using it = await working(proxy.via(vhost.url));
    const events = recordEvents(it.broker);
    await server.ctl('eval', 'rabbit_maintenance:suspend_all_client_listeners().');
    try {
      await it.sendAndHandle(1);
      expect(events.names).toEqual([]);
      proxy.cutAll();
      await expect.poll(() => events.of('connect-failed').length, { timeout: 20_000 }).toBeGreaterThan(2);
    } finally {
      await server.ctl('eval', 'rabbit_maintenance:resume_all_client_listeners().');
    }
    await it.sendAndHandle(2);
  });
});
