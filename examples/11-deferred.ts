/** Deferred messages: some are to arrive later, each after its own delay, none of them early and none behind a longer one. */
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const reminders = queue('example.reminders', z.object({ text: z.string(), dueAt: z.number() }));

await using _queues = await freshQueues(url, reminders);
await using broker = await Broker.connect(url, { name: 'reminders' });

let early = 0;
let arrived = 0;
const consumer = broker.consumer(reminders, ({ body }) => {
  arrived++;
  const lateMs = Date.now() - body.dueAt;
  if (lateMs < 0) early++;
  console.log(`${body.text}: ${lateMs < 0 ? 'too early' : 'on time'}`);
});
await consumer.ready;

const producer = broker.producer(reminders);
const remind = (text: string, delayMs: number) =>
  producer.send({ text, dueAt: Date.now() + delayMs }, { delayMs });

// The longest first: it does not hold up the others.
await remind('after three seconds', 3_000);
await remind('after one second', 1_000);
const soon = new Date(Date.now() + 2_000);
await producer.send({ text: 'at a date, two seconds on', dueAt: soon.getTime() }, { deliverAt: soon });
await producer.send({ text: 'at once', dueAt: Date.now() });
console.log('All four are safe on the server; three wait there.');

await until(() => arrived === 4);
console.log(`${arrived} arrived, ${early} too early`);
