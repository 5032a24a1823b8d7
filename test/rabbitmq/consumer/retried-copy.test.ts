import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

/** A classic queue counts no deliveries: another attempt is a copy, with the id and the body of the original. */
const tasks = queue('tasks', z.string(), { type: 'classic', retry: { initialDelayMs: 1 } });

describe('the copy for another attempt', () => {
  it('runs again when its own delivery is lost, although the original was acknowledged', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 50 } });
    const runs: string[] = [];
    const consumer = broker.consumer(tasks, async ({ attempt, redelivered, signal }) => {
      runs.push(`attempt ${attempt}${redelivered ? ', redelivered' : ''}`);
      if (runs.length === 1) throw new Error('the first attempt fails');
      if (runs.length > 2) return;
      // Round trips: the acknowledgement of the original has reached the server by then.
      await broker.stats(tasks);
      await broker.stats(tasks);
      proxy.cutAll();
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    });
    await broker.producer(tasks).send('invoice 42');

    await expect
      .poll(() => runs, { timeout: 10_000 })
      .toEqual(['attempt 1', 'attempt 2', 'attempt 3, redelivered']);
    await expect.poll(() => consumer.stats).toMatchObject({ retried: 1, recognised: 0 });
  });
});

describe('the statistics of a consumer', () => {
  it('count as acknowledged what was handled, not what was retried or given up', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const consumer = broker.consumer(tasks, ({ body, attempt }) => {
      if (body === 'hopeless') throw new Error('it always fails');
      if (attempt === 1) throw new Error('the first attempt fails');
    });
    await broker.producer(tasks).sendAll(['hopeless', 'fails once']);

    await expect.poll(() => consumer.stats).toMatchObject({ acked: 1, retried: 5, deadLettered: 1 });
  });
});
