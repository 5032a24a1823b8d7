/** Two ways to consume, the same result: a `for await` loop, and a handler that the consumer calls. */
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const WORDS = ['one', 'two', 'three', 'four', 'five'];

const words = queue('example.words', z.object({ word: z.string() }));

await using _queues = await freshQueues(url, words);
await using broker = await Broker.connect(url);
const producer = broker.producer(words);
const send = () => producer.sendAll(WORDS.map((word) => ({ word })));

// The loop acknowledges a message when it asks for the next one. To leave the loop gives the message in hand back,
// so the last one is acknowledged before that.
const fromLoop: string[] = [];
await send();
for await (const message of broker.consumer(words)) {
  fromLoop.push(message.body.word);
  if (fromLoop.length === WORDS.length) {
    message.ack();
    break;
  }
}
console.log(`for await: ${fromLoop.join(', ')}`);

// The handler's message is acknowledged when the handler is done: here when it returns, with `async` when it resolves.
const fromHandler: string[] = [];
await send();
const consumer = broker.consumer(words, (message) => {
  fromHandler.push(message.body.word);
});
await until(() => fromHandler.length === WORDS.length);
await consumer.close();
console.log(`callback:  ${fromHandler.join(', ')}`);

console.log(`The same: ${fromLoop.join() === fromHandler.join() ? 'yes' : 'no'}`);
console.log(`Left in the queue: ${(await broker.stats(words)).messages}`);
