import { Broker, type Consumer, queue } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost, queueDepth } from '../../helpers/server/index.js';

const numbers = queue('numbers', z.number());

it('lets a handler end that closes its consumer at the very first message', async () => {
  await using vhost = await createVhost();
  await using broker = await Broker.connect(vhost.url);
  // There before the consumer is: then they come together with the answer that it consumes.
  await broker.producer(numbers).sendAll([1, 2, 3]);
  let closed: ReturnType<Consumer['close']> | undefined;
  const aborted: boolean[] = [];
  const consumer: Consumer = broker.consumer(numbers, async ({ signal }) => {
    closed ??= consumer.close();
    await broker.stats(numbers);
    await broker.stats(numbers);
    aborted.push(signal.aborted);
  });
  await expect.poll(() => closed).toBeDefined();
  expect(await closed).toEqual({ clean: true });
  expect(aborted).toEqual([false]);
  expect(consumer.stats).toMatchObject({ acked: 1, stale: 0 });
  await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(2);
});
