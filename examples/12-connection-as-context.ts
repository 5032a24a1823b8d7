/** A connection as a context: opened, used, and closed however the block ends; what was sent is confirmed by then. */
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const readings = queue('example.readings', z.object({ sensor: z.string(), celsius: z.number() }));

await using _queues = await freshQueues(url, readings);

async function measure(count: number): Promise<Broker> {
  await using broker = await Broker.connect(url, { name: 'sensor' });
  console.log(`  inside: the broker is ${broker.state.status}`);
  const producer = broker.producer(readings);
  for (let index = 0; index < count; index++) {
    // Not awaited, to show that closing does: it settles each pending send before it closes the connections.
    void producer.send({ sensor: 'roof', celsius: 20 + index / 100 });
  }
  console.log(`  inside: ${producer.pending} sends are under way`);
  return broker;
}

console.log('A block that returns:');
const used = await measure(100);
console.log(`  outside: the broker is ${used.state.status}`);

console.log('A block that throws:');
const seen: Broker[] = [];
try {
  await using broker = await Broker.connect(url, { name: 'sensor' });
  seen.push(broker);
  console.log(`  inside: the broker is ${broker.state.status}`);
  throw new Error('the sensor has failed');
} catch (error) {
  console.log(`  outside: the broker is ${seen[0]?.state.status}, and the error is there: ${error}`);
}

await using broker = await Broker.connect(url);
const { messages } = await broker.stats(readings);
console.log(`The queue holds ${messages} of 100 readings.`);
