import { Broker, queue } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const numbers = queue('numbers', z.number());

it('handles what came between a pause and the resume that overtook it', async () => {
  await using vhost = await createVhost();
  await using proxy = await TcpProxy.listen(vhost.url);
  await using direct = await Broker.connect(vhost.url);
  await using broker = await Broker.connect(proxy.via(vhost.url));
  const handled: number[] = [];
  const consumer = broker.consumer(numbers, ({ body }) => void handled.push(body));
  await consumer.ready;

  // The server hears of the pause half a second later, and goes on delivering until then.
  proxy.delay(500);
  const paused = consumer.pause();
  await direct.producer(numbers).send(1);
  await expect.poll(() => consumer.stats.waiting, { timeout: 5_000 }).toBe(1);
  const resumed = consumer.resume();
  await Promise.all([paused, resumed]);
  proxy.delay(0);

  await expect.poll(() => handled).toEqual([1]);
});
