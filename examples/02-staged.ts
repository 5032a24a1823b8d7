/** Staged: the producer sends and stops; the consumer comes later, when the producer is long gone. Nothing is lost. */
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const TOTAL = 500;

// The queue is durable and the messages are persistent: the server may be restarted between the two stages.
const reports = queue('example.reports', z.object({ report: z.int(), title: z.string() }));

async function sendAndStop(): Promise<void> {
  await using broker = await Broker.connect(url, { name: 'stage 1' });
  const bodies = Array.from({ length: TOTAL }, (_, index) => ({
    report: index + 1,
    title: `Sales of day ${index + 1}`,
  }));
  const { sent, failed } = await broker.producer(reports).sendAll(bodies);
  console.log(`Stage 1: sent ${sent} reports, ${failed.length} failed. The producer stops.`);
}

async function lookAtTheQueue(): Promise<void> {
  await using broker = await Broker.connect(url);
  const { messages, consumers } = await broker.stats(reports);
  console.log(`Between: ${messages} messages wait in the queue, ${consumers} consumers are there.`);
}

async function consumeLater(): Promise<void> {
  await using broker = await Broker.connect(url, { name: 'stage 2' });
  const received = new Set<number>();
  for await (const message of broker.consumer(reports)) {
    received.add(message.body.report);
    if (received.size < TOTAL) continue;
    message.ack(); // To leave the loop is no acknowledgement.
    break;
  }
  const { messages } = await broker.stats(reports);
  console.log(`Stage 2: received ${received.size} different reports, ${TOTAL - received.size} are missing.`);
  console.log(`Afterwards: ${messages} messages wait in the queue.`);
}

await using _queues = await freshQueues(url, reports);
await sendAndStop();
await lookAtTheQueue();
await consumeLater();
