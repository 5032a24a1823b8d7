/** A message to a queue that does not exist: the server would drop it without a word, `send` rejects. */
import { Broker, queue, UnroutableError } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const Parcel = z.object({ parcel: z.int() });

// `declare: false`: another program declares this queue. Without this option, the first send would do so, and succeed.
const undeclared = queue('example.parcels', Parcel, { declare: false });
const parcels = queue('example.parcels', Parcel);

await using _queues = await freshQueues(url, parcels);
await using broker = await Broker.connect(url);
const producer = broker.producer(undeclared);

try {
  await producer.send({ parcel: 1 });
} catch (error) {
  if (!(error instanceof UnroutableError)) throw error;
  console.log(`parcel 1: ${error.name} (${error.code}): ${error.message}`);
}

// What a client without the mandatory flag gets: a confirm, and no message anywhere.
await producer.send({ parcel: 2 }, { mandatory: false });
console.log('parcel 2: sent without "mandatory": no error, and it is gone');

await broker.declare(parcels);
await producer.send({ parcel: 3 });
console.log('parcel 3: the queue is there now: sent');

console.log(`The queue holds ${(await broker.stats(parcels)).messages} message of 3.`);
