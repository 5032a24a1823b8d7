import { Broker, queue } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost, queueDepth } from '../../helpers/server/index.js';

const numbers = queue('numbers', z.number());

it('carries out a dead-letter verdict that was given before the loop was left', async () => {
  await using vhost = await createVhost();
  await using broker = await Broker.connect(vhost.url);
  await broker.producer(numbers).send(1);
  for await (const message of broker.consumer(numbers)) {
    expect(message.deadLetter('hopeless')).toBe(true);
    break;
  }
  expect(await queueDepth(vhost.url, 'numbers.dead')).toBe(1);
  await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(0);
});
