import { Broker, queue } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { createVhost } from '../../helpers/server/index.js';

it('runs a message that came back three times alone', { timeout: 60_000 }, async () => {
  await using vhost = await createVhost();
  const tasks = queue('tasks', z.number(), { type: 'quorum', deliveryLimit: 100 });
  {
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(tasks);
    await broker.producer(tasks).send(0);
  }
  // Each of these processes ends in the middle of its work.
  for (let run = 0; run < 3; run++) {
    using stuck = gate();
    const broker = await Broker.connect(vhost.url);
    const consumer = broker.consumer(tasks, () => stuck.opened);
    await expect.poll(() => consumer.stats.inFlight, { timeout: 10_000 }).toBe(1);
    await broker.close({ timeoutMs: 0 });
  }
  await using broker = await Broker.connect(vhost.url);
  await broker.producer(tasks).sendAll([1, 2, 3]);
  using suspect = gate();
  const started: number[] = [];
  const consumer = broker.consumer(
    tasks,
    ({ body }) => {
      started.push(body);
      return body === 0 ? suspect.opened : undefined;
    },
    { concurrency: 4 },
  );
  await expect.poll(() => consumer.stats, { timeout: 10_000 }).toMatchObject({ inFlight: 1, waiting: 3 });
  expect(started).toEqual([0]);
  suspect.open();
  await expect.poll(() => started, { timeout: 10_000 }).toEqual([0, 1, 2, 3]);
});
