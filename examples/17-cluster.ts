/**
 * A cluster: a broker that knows several hosts, and a quorum queue. When a host is down, or is lost meanwhile, producer and
 * consumer move over to another one, and nothing that was confirmed is lost.
 *
 * On a cluster, `RABBITMQ_URLS=amqp://a,amqp://b,amqp://c` sends for half a minute: stop one of the nodes meanwhile. Without one,
 * the other host of RABBITMQ_URL is one that does not answer.
 */
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';
const cluster = process.env.RABBITMQ_URLS?.split(',');

/** No server listens on port 1. */
const DOWN = 'amqp://127.0.0.1:1';
const hosts = cluster ?? (url.startsWith('memory:') ? [url] : [DOWN, url]);

const TOTAL = 300;
const pauseMs = cluster ? 100 : 2;

// A quorum queue, as every queue is unless it says otherwise: each node of a cluster has a copy.
const payments = queue('example.payments', z.object({ payment: z.int() }));

await using _queues = await freshQueues(cluster ?? url, payments);

await using broker = new Broker(hosts, { name: 'cluster' });
broker.on('connected', ({ address }) => console.log(`connected to ${address}`));
broker.on('disconnected', ({ connection, error }) => console.log(`${connection}: ${error.message}`));
await broker.connect();

const handled = new Set<number>();
await broker.consumer(payments, ({ body }) => {
  // A payment whose acknowledgement was lost comes again: at least once.
  handled.add(body.payment);
}).ready;

const producer = broker.producer(payments);
const confirmed: number[] = [];
for (let payment = 1; payment <= TOTAL; payment++) {
  await producer.send({ payment });
  confirmed.push(payment);
  if (cluster && payment === 20) console.log('Payments are under way: stop a node now.');
  await new Promise((resolve) => setTimeout(resolve, pauseMs));
}
console.log(`${confirmed.length} payments are confirmed.`);

await until(() => confirmed.every((payment) => handled.has(payment)));
console.log(`${handled.size} payments are handled, ${TOTAL - handled.size} are missing.`);
