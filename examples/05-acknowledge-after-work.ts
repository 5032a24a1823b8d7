/** Acknowledge after the work: until the handler is done, the server keeps the message and gives it to no other consumer. */
import { setTimeout as work } from 'node:timers/promises';
import { Broker, type Message, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const photos = queue('example.photos', z.object({ photo: z.string() }));

await using _queues = await freshQueues(url, photos);
await using broker = await Broker.connect(url, { name: 'producer' });
await broker.producer(photos).send({ photo: 'hare.jpg' });

async function show(what: string, unacknowledged: number): Promise<void> {
  const { messages } = await broker.stats(photos);
  console.log(`${what.padEnd(42)} ready: ${messages}   unacknowledged: ${unacknowledged}`);
}

async function resize({ body, attempt, signal }: Message<{ photo: string }>): Promise<void> {
  console.log(`  resizing ${body.photo}, attempt ${attempt} …`);
  await work(500, undefined, { signal }); // The signal ends work that is no longer of use.
  console.log(`  ${body.photo} is resized`);
}

await show('The message is sent', 0);
{
  await using workerBroker = await Broker.connect(url, { name: 'impatient worker' });
  const worker = workerBroker.consumer(photos, resize);
  await until(() => worker.stats.inFlight === 1);
  await show('The worker has it, and is not done', worker.stats.inFlight);
  await workerBroker.close({ timeoutMs: 0 });
  await until(async () => (await broker.stats(photos)).messages === 1);
  await show('The worker left in mid-task: it is back', 0);
}
{
  await using workerBroker = await Broker.connect(url, { name: 'patient worker' });
  const worker = workerBroker.consumer(photos, resize);
  await until(() => worker.stats.inFlight === 1);
  await show('Another worker has it, and is not done', worker.stats.inFlight);
  await until(() => worker.stats.acked === 1);
  await show('The handler is done: acknowledged', worker.stats.inFlight);
}
await show('That worker has left too: nothing is back', 0);
