import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost, queueDepth } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const numbers = queue('numbers', z.object({ n: z.number() }), { type: 'classic', deadLetter: false });

/** What keeps a process alive: sockets and timers. Those of the tests' own HTTP requests go by and by. */
const resources = () =>
  process
    .getActiveResourcesInfo()
    .filter((name) => name.startsWith('TCP') || name === 'Timeout')
    .sort();

describe('a broker that is made and closed again and again', () => {
  it('leaves no handle, channel or connection behind', { timeout: 90_000 }, async () => {
    await using vhost = await createVhost();
    const useOne = async (n: number) => {
      const broker = await Broker.connect(vhost.url);
      let got: number | undefined;
      await broker.consumer(numbers, ({ body }) => {
        got = body.n;
      }).ready;
      await broker.producer(numbers).send({ n });
      await expect.poll(() => got, { timeout: 10_000 }).toBe(n);
      expect(await broker.close()).toEqual({ clean: true });
    };
    await useOne(0);
    const before = resources().length;
    const heapBefore = process.memoryUsage().heapUsed;
    for (let n = 1; n <= 40; n++) await useOne(n);
    await expect.poll(() => resources().length, { timeout: 15_000 }).toBeLessThanOrEqual(before);
    // Nothing like 40 brokers with their buffers.
    expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(100 * 1024 * 1024);
    await expect.poll(() => vhost.management.connections(), { timeout: 30_000, interval: 500 }).toEqual([]);
    await expect.poll(() => vhost.management.channels(), { timeout: 30_000, interval: 500 }).toEqual([]);
    expect(await queueDepth(vhost.url, 'numbers')).toBe(0);
  });

  it('leaves nothing behind wherever its start is aborted', { timeout: 90_000 }, async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    // Every answer of the server is one more place at which to abort.
    proxy.delay(4);
    const before = resources().length;
    const outcomes = new Set<string>();
    for (let afterMs = 0; afterMs < 60; afterMs += 3) {
      const abort = new AbortController();
      const reason = new Error('the user went away');
      const timer = setTimeout(() => abort.abort(reason), afterMs);
      const outcome = await Broker.connect(proxy.via(vhost.url), { signal: abort.signal }).then(
        async (broker) => {
          broker
            .producer(numbers)
            .send({ n: 1 })
            .catch(() => undefined);
          void broker.consumer(numbers, () => undefined).ready.catch(() => undefined);
          abort.abort(reason);
          await broker.close({ timeoutMs: 5_000 });
          return 'connected';
        },
        (error: unknown) => (error === reason ? 'aborted' : String(error)),
      );
      clearTimeout(timer);
      outcomes.add(outcome);
    }
    expect([...outcomes].filter((it) => it !== 'connected' && it !== 'aborted')).toEqual([]);
    expect(outcomes.has('aborted')).toBe(true);
    await expect.poll(() => proxy.connections, { timeout: 15_000 }).toBe(0);
    await expect.poll(() => resources().length, { timeout: 15_000 }).toBeLessThanOrEqual(before);
  });

  it('does not disturb another one that has its name, its queue and its process', async () => {
    await using vhost = await createVhost();
    await using first = await Broker.connect(vhost.url, { name: 'twin' });
    const second = await Broker.connect(vhost.url, { name: 'twin' });
    const got: string[] = [];
    await first.consumer(numbers, ({ body }) => void got.push(`first ${body.n}`)).ready;
    await second.consumer(numbers, ({ body }) => void got.push(`second ${body.n}`)).ready;
    await first.producer(numbers).sendAll([1, 2, 3, 4].map((n) => ({ n })));
    await expect.poll(() => got.length).toBe(4);
    expect(new Set(got.map((it) => it.split(' ')[0]))).toEqual(new Set(['first', 'second']));
    expect(await second.close()).toEqual({ clean: true });
    await first.producer(numbers).sendAll([5, 6].map((n) => ({ n })));
    await expect.poll(() => got.slice(4)).toEqual(['first 5', 'first 6']);
    expect(first.health().status).toBe('up');
  });
});
