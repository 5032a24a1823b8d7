import { Broker, queue } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const tasks = queue('tasks', z.string(), { retry: { initialDelayMs: 1 } });

it('runs the second of two equal messages with one id again, although the first was acknowledged', async () => {
  await using vhost = await createVhost();
  await using proxy = await TcpProxy.listen(vhost.url);
  await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 50 } });
  const runs: string[] = [];
  const consumer = broker.consumer(tasks, async ({ redelivered, signal }) => {
    runs.push(redelivered ? 'redelivered' : 'first delivery');
    if (runs.length !== 2) return;
    // Round trips: the acknowledgement of the first message has reached the server by then.
    await broker.stats(tasks);
    await broker.stats(tasks);
    proxy.cutAll();
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  });
  await consumer.ready;
  const producer = broker.producer(tasks);
  await producer.send('tick', { messageId: 'tick' });
  await producer.send('tick', { messageId: 'tick' });

  await expect
    .poll(() => runs, { timeout: 10_000 })
    .toEqual(['first delivery', 'first delivery', 'redelivered']);
  await expect.poll(() => consumer.stats).toMatchObject({ acked: 2, recognised: 0 });
});

it('runs an equal message with the same id again that came first after the connection was lost', async () => {
  await using vhost = await createVhost();
  await using proxy = await TcpProxy.listen(vhost.url);
  await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 50 } });
  const runs: string[] = [];
  const consumer = broker.consumer(tasks, (message) => {
    runs.push(message.redelivered ? 'redelivered' : 'first delivery');
    if (runs.length === 2) message.requeue();
  });
  const recovered = new Promise((resolve) => broker.on('consumer-recovered', resolve));
  await consumer.ready;
  const producer = broker.producer(tasks);
  await producer.send('tick', { messageId: 'tick' });
  await expect.poll(() => consumer.stats.acked).toBe(1);
  await broker.stats(tasks);
  await broker.stats(tasks);
  proxy.cutAll();
  await recovered;
  await producer.send('tick', { messageId: 'tick' });

  await expect.poll(() => runs).toEqual(['first delivery', 'first delivery', 'redelivered']);
  await expect.poll(() => consumer.stats).toMatchObject({ acked: 2, recognised: 0 });
});
