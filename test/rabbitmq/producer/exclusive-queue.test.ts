import { Broker, queue } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';

const replies = queue('replies', z.string(), {
  type: 'classic',
  durable: false,
  exclusive: true,
  deadLetter: false,
});

it('consumes from an exclusive queue that was declared ahead of use', async () => {
  await using vhost = await createVhost();
  await using broker = await Broker.connect(vhost.url);
  await broker.declare(replies);
  const handled: string[] = [];
  const consumer = broker.consumer(replies, ({ body }) => void handled.push(body));
  await consumer.ready;
  await broker.producer(replies).send('hello');
  await expect.poll(() => handled).toEqual(['hello']);
  await expect.poll(() => broker.stats(replies)).toEqual({ messages: 0, consumers: 1 });
});
