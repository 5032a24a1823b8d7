import { Broker, queue } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';

const numbers = queue('numbers', z.number());

it('acknowledges every message that overlapping calls of next gave', async () => {
  await using vhost = await createVhost();
  await using broker = await Broker.connect(vhost.url);
  const consumer = broker.consumer(numbers, { prefetch: 2 });
  await consumer.ready;
  const messages = consumer[Symbol.asyncIterator]();
  const two = Promise.all([messages.next(), messages.next()]);
  await broker.producer(numbers).sendAll([1, 2, 3, 4]);
  await two;
  expect(consumer.stats).toMatchObject({ acked: 0, inFlight: 2 });
  const next = await Promise.all([messages.next(), messages.next()]);
  expect(next.map(({ value }) => value.body)).toEqual([3, 4]);
  expect(consumer.stats).toMatchObject({ acked: 2, inFlight: 2 });
  await messages.return?.();
});
