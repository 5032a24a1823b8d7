/** A program whose brokers in memory have done their work and then idle, and are closed. Run by `idle.test.ts`. */
import { setTimeout as pause } from 'node:timers/promises';
import { Broker, exchange, queue } from 'leveret';
import { z } from 'zod';

const numbers = queue('numbers', z.object({ n: z.number() }), {
  retry: { initialDelayMs: 1, jitter: false },
});
const news = exchange('news', z.object({ n: z.number() }), { type: 'fanout' });

/** What keeps the process alive, but for the pipes that it prints to. */
const resources = () => process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap');
const before = resources();

const brokers: Broker[] = [];
for (const url of ['memory:', 'memory://shared', 'memory://shared']) {
  const broker = await Broker.connect(url);
  brokers.push(broker);
  // Otherwise the process warns of it.
  broker.on('handler-error', () => {});
  let handled = 0;
  broker.consumer(numbers, ({ attempt }) => {
    handled++;
    if (attempt === 1) throw new Error('the first time');
  });
  await broker.consumer(news.subscription(), () => undefined).ready;
  const producer = broker.producer(numbers);
  while (handled < 2) {
    await producer.send({ n: 1 });
    await pause(5);
  }
  await broker.producer(news).send({ n: 2 });
  await broker.stats(numbers);
}

// Retries, confirms and acknowledgements have come to their end after this.
await pause(500);
const idle = resources();
const idleFrom = process.cpuUsage();
await pause(1_000);
const { user, system } = process.cpuUsage(idleFrom);
await Promise.all(brokers.map((broker) => broker.close()));
console.log(JSON.stringify({ before, idle, closed: resources(), idleCpuMs: (user + system) / 1_000 }));
