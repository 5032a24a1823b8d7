import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { passing } from '../../helpers/waits.js';

const log = queue('log', z.number(), { type: 'stream', retry: { initialDelayMs: 10, jitter: false } });
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

describe('a consumer of a stream whose connection is lost', () => {
  it.each([1, 8])(
    'goes on at the first message that is not handled (concurrency %d)',
    async (concurrency) => {
      await using vhost = await createVhost();
      await using proxy = await TcpProxy.listen(vhost.url);
      await using producing = await Broker.connect(vhost.url);
      await using broker = await Broker.connect(proxy.via(vhost.url));
      const runs = new Map<number, number>();
      let cuts = 0;
      const again: number[] = [];
      const consumer = broker.consumer(
        log,
        async ({ body, offset }) => {
          expect(offset).toBe(body);
          runs.set(body, (runs.get(body) ?? 0) + 1);
          if ((runs.get(body) ?? 0) > 1) again.push(body);
          await new Promise((resolve) => setTimeout(resolve, 1));
          if ([100, 220, 350].includes(body) && runs.get(body) === 1) {
            cuts++;
            proxy.cutAll();
          }
        },
        { offset: 'first', concurrency, prefetch: 30 },
      );
      await producing.producer(log).sendAll(upTo(500));
      await expect.poll(() => runs.size, { timeout: 20_000 }).toBe(500);
      await expect.poll(() => consumer.stats.inFlight).toBe(0);
      expect(cuts).toBe(3);
      expect([...runs.keys()].sort((a, b) => a - b)).toEqual(upTo(500));
      // Only what was at work when the connection was lost runs a second time.
      expect(again.length).toBeLessThanOrEqual(3 * concurrency);
    },
  );

  it('goes on counting the attempts of a message that fails', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using producing = await Broker.connect(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    const slow = queue('slow', z.number(), {
      type: 'stream',
      retry: { attempts: 3, initialDelayMs: 300, factor: 1, jitter: false },
    });
    const runs: string[] = [];
    const consumer = broker.consumer(
      slow,
      ({ body, attempt }) => {
        runs.push(`${body}/${attempt}`);
        if (body === 1) throw new Error('never');
      },
      { offset: 'first' },
    );
    await producing.producer(slow).sendAll([1, 2]);
    await expect.poll(() => runs).toEqual(['1/1']);
    // While it waits for its second run.
    proxy.cutAll();
    await expect.poll(() => consumer.stats.acked, { timeout: 20_000 }).toBe(1);
    expect(runs).toEqual(['1/1', '1/2', '1/3', '2/1']);
    await expect.poll(() => producing.stats('slow.dead')).toMatchObject({ messages: 1 });
  });

  it('misses nothing that was sent meanwhile, also when nothing had come before', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using producing = await Broker.connect(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    const producer = producing.producer(log);
    await producer.send(0);
    await passing(2_100, 'the server looks times up to the second');
    const seen: number[] = [];
    const events = recordEvents(broker);
    await broker.consumer(log, ({ body }) => void seen.push(body)).ready;
    await proxy.refuse(true);
    proxy.cutAll();
    await expect.poll(() => events.of('disconnected').length).toBeGreaterThan(0);
    await producer.send(1);
    await proxy.refuse(false);
    await expect.poll(() => seen, { timeout: 20_000 }).toEqual([1]);
  });
});
