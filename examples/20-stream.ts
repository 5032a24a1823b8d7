/** A stream keeps its messages: each consumer reads it from where it likes, as often as it likes. */
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const prices = queue('example.prices', z.object({ sku: z.string(), price: z.number() }), {
  type: 'stream',
  maxLengthBytes: 1_000_000_000, // the oldest go when it is longer …
  arguments: { 'x-max-age': '7D' }, // … or when they are older
});

await using _queues = await freshQueues(url, prices);
await using broker = await Broker.connect(url);
const producer = broker.producer(prices);
await producer.sendAll([1, 2, 3, 4, 5].map((price) => ({ sku: 'MUG', price })));
console.log('5 prices are in the stream');

// From now on, which is the default.
const live: number[] = [];
const ticker = broker.consumer(prices, ({ body }) => void live.push(body.price));
await ticker.ready;

// Everything from the beginning, twice: reading takes nothing away.
for (const reader of ['first', 'second']) {
  const read: string[] = [];
  const consumer = broker.consumer(
    prices,
    ({ body, offset }) => void read.push(`${body.price} at ${offset}`),
    { offset: 'first' },
  );
  await until(() => read.length === 5);
  await consumer.close();
  console.log(`${reader} reader: ${read.join(', ')}`);
}

// A loop that is left goes on where it was: the consumer keeps its place, also over a reconnect.
const consumer = broker.consumer(prices, { offset: 3 });
for (const part of ['before the break', 'after the break']) {
  for await (const message of consumer) {
    console.log(`${part}: ${message.body.price}`);
    message.ack();
    break;
  }
}

await producer.send({ sku: 'MUG', price: 6 });
await until(() => live.length === 1);
console.log(`live: ${live.join(', ')}`);
