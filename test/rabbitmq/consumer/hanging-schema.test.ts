import { Broker, queue, type Schema } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';

const hangingAt = (stuck: number): Schema<number> => ({
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      value === stuck ? new Promise<never>(() => undefined) : Promise.resolve({ value: value as number }),
  },
});

it('gives up a message whose schema does not answer within the time of a handler', async () => {
  await using vhost = await createVhost();
  await using broker = await Broker.connect(vhost.url);
  const handled: number[] = [];
  const consumer = broker.consumer(
    queue('numbers', hangingAt(1), { retry: false }),
    ({ body }) => void handled.push(body),
    { handlerTimeoutMs: 200 },
  );
  await broker.producer(queue('numbers', z.number(), { retry: false })).sendAll([1, 2, 3]);
  await expect.poll(() => handled).toEqual([2, 3]);
  await expect.poll(() => consumer.stats).toMatchObject({ acked: 2, deadLettered: 1 });
});
