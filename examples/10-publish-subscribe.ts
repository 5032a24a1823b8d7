/** Publish/subscribe: one event, and each subscriber gets its own copy: by topic, in a shared queue, or privately. */
import { Broker, exchange, type Message } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const Order = z.object({ id: z.int(), total: z.number() });

const orders = exchange('example.events', Order); // type 'topic': subscribers choose by pattern
const audit = exchange('example.audit', Order, {
  type: 'fanout', // everything, to everybody
  bindings: [{ exchange: orders, routingKey: '#' }],
});
const billing = orders.queue('example.billing', '*.paid'); // durable: it keeps messages while no consumer is connected
const archive = audit.queue('example.archive');

await using _queues = await freshQueues(url, billing, archive, audit, orders);
await using broker = await Broker.connect(url);

const seen = new Map<string, number[]>();
const subscriber = (name: string) => {
  const ids: number[] = [];
  seen.set(name, ids);
  return ({ body }: Message<z.output<typeof Order>>) => void ids.push(body.id);
};

const consumers = [
  broker.consumer(billing, subscriber('billing  *.paid')),
  broker.consumer(archive, subscriber('archive  everything')),
  broker.consumer(orders.subscription('eu.*'), subscriber('screen 1 eu.*')), // private: only while it is connected
  broker.consumer(orders.subscription(['eu.*', 'us.*']), subscriber('screen 2 eu.* and us.*')),
];
await Promise.all(consumers.map((consumer) => consumer.ready));

const producer = broker.producer(orders);
const keys = ['eu.placed', 'eu.paid', 'us.placed', 'us.paid', 'jp.paid'];
for (const [index, routingKey] of keys.entries()) {
  await producer.send({ id: index + 1, total: 10 }, { routingKey });
  console.log(`published ${index + 1}: ${routingKey}`);
}

await until(() => [...seen.values()].flat().length === 3 + 5 + 2 + 4);
for (const [name, ids] of seen) console.log(`${name.padEnd(24)} got ${ids.join(', ')}`);
