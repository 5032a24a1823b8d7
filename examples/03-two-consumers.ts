/** Two consumers of one queue, step by step: each message goes to one of them, and the queue's depth tells the tale. */
import { EventEmitter, once } from 'node:events';
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const letters = queue('example.letters', z.object({ text: z.string() }));

await using _queues = await freshQueues(url, letters);
await using broker = await Broker.connect(url);
await broker.declare(letters);
const producer = broker.producer(letters);
const steps = new EventEmitter();

/** A consumer that holds its message until the last step. */
function startConsumer(name: string) {
  return broker.consumer(
    letters,
    async ({ body }) => {
      steps.emit('taken', `${name} takes ${body.text}`);
      await once(steps, 'finish');
    },
    { prefetch: 1 },
  );
}

async function show(step: string, what: string): Promise<void> {
  const { messages } = await broker.stats(letters);
  console.log(`${step}  ${what.padEnd(24)} depth ${messages} ${'■'.repeat(messages)}`);
}

await show('t0', 'the queue is empty');

await producer.send({ text: 'm1' });
await show('t1', 'm1 is sent');

await producer.send({ text: 'm2' });
await show('t2', 'm2 is sent');

const first = startConsumer('consumer 1');
await show('t3', String(await once(steps, 'taken')));

const second = startConsumer('consumer 2');
await show('t4', String(await once(steps, 'taken')));

steps.emit('finish');
await Promise.all([first.close(), second.close()]);
await show('t5', 'both are acknowledged');

console.log(`consumer 1 acknowledged ${first.stats.acked} message, consumer 2 ${second.stats.acked}`);
