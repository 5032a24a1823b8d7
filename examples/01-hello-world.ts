/** Hello world: a producer sends 1 000 numbered messages, a consumer counts them; either of the two may start first. */
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const TOTAL = 1_000;

// Both sides import this. Whichever comes first declares the queue; to declare it once more changes nothing.
const hello = queue('example.hello', z.object({ number: z.int().positive(), text: z.string() }));

async function produce(): Promise<void> {
  await using broker = await Broker.connect(url, { name: 'producer' });
  const messages = Array.from({ length: TOTAL }, (_, index) => ({ number: index + 1, text: 'Hello World!' }));
  const { sent } = await broker.producer(hello).sendAll(messages);
  console.log(`  producer: sent ${sent} messages, each of them confirmed by the server`);
}

async function startConsumer(): Promise<{ finish: () => Promise<void> }> {
  const broker = await Broker.connect(url, { name: 'consumer' });
  const numbers: number[] = [];
  const consumer = broker.consumer(hello, ({ body }) => {
    numbers.push(body.number);
    if (numbers.length % 250 === 0) {
      const bar = '#'.repeat(numbers.length / 50).padEnd(TOTAL / 50, '.');
      console.log(
        `  consumer: [${bar}] ${numbers.length} of ${TOTAL}, the last: ${body.text} ${body.number}`,
      );
    }
  });
  await consumer.ready;
  console.log('  consumer: ready');
  const finish = async () => {
    await until(() => numbers.length >= TOTAL);
    await broker.close();
    const inOrder = numbers.every((number, index) => number === index + 1);
    console.log(`  consumer: got ${numbers.length} messages, ${inOrder ? 'in order' : 'OUT OF ORDER'}`);
  };
  return { finish };
}

{
  console.log('The consumer starts first:');
  await using _queues = await freshQueues(url, hello);
  const consumer = await startConsumer();
  await produce();
  await consumer.finish();
}
{
  console.log('The producer starts first:');
  await using _queues = await freshQueues(url, hello);
  await produce();
  const consumer = await startConsumer();
  await consumer.finish();
}
