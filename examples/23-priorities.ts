/** Priorities: urgent messages pass those that wait, and a preferred worker gets them before the others. */
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

// A classic queue keeps as many priorities apart as it is told. A quorum queue needs no option: it knows two classes from
// RabbitMQ 4.0 on, and 32 priorities from 4.3 on.
const calls = queue('example.calls', z.object({ from: z.string() }), { type: 'classic', maxPriority: 5 });

await using _queues = await freshQueues(url, calls);
await using broker = await Broker.connect(url);
const producer = broker.producer(calls);

await producer.send({ from: 'a survey' }, { priority: 1 });
await producer.send({ from: 'a customer' }, { priority: 3 });
await producer.send({ from: 'the fire brigade' }, { priority: 5 });
console.log('Three calls wait: a survey, a customer, the fire brigade.');

const answered: string[] = [];
const clerk = broker.consumer(calls, ({ body }) => void answered.push(body.from), { prefetch: 1 });
await until(() => answered.length === 3);
console.log(`Answered: ${answered.join(', ')}`);
await clerk.close();

const byWhom: string[] = [];
const worker = (name: string, priority: number) =>
  broker.consumer(calls, () => void byWhom.push(name), { priority });
await Promise.all([worker('trainee', 0).ready, worker('expert', 10).ready]);
for (const from of ['one', 'two', 'three']) await producer.send({ from });
await until(() => byWhom.length === 3);
console.log(`The consumer with the higher priority goes first: ${byWhom.join(', ')}`);
