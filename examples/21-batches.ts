/** Batches: many messages in one call of the handler, such as one INSERT for a hundred rows. */
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const readings = queue('example.readings', z.object({ sensor: z.string(), celsius: z.number() }));

await using _queues = await freshQueues(url, readings);
await using broker = await Broker.connect(url);

const rows = Array.from({ length: 250 }, (_, n) => ({ sensor: `s${n % 7}`, celsius: n === 42 ? -999 : 20 }));
await broker.producer(readings).sendAll(rows);

let inserted = 0;
const consumer = broker.batchConsumer(
  readings,
  async (messages) => {
    // One that is wrong does not spoil the others.
    const [good, bad] = [
      messages.filter(({ body }) => body.celsius >= -273),
      messages.filter(({ body }) => body.celsius < -273),
    ];
    for (const message of bad) message.deadLetter('colder than possible');
    inserted += good.length;
    console.log(`one INSERT of ${good.length} rows`);
  },
  { size: 100, maxWaitMs: 2_000 }, // the last 50 wait no longer than that
);

await until(() => consumer.stats.acked === 249 && consumer.stats.deadLettered === 1);
console.log(`${inserted} rows inserted, ${consumer.stats.deadLettered} dead-lettered`);
