/** The main job: orders from a file, validated and sent; two workers; failures retried, hopeless cases kept and explained. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as work } from 'node:timers/promises';
import { Broker, DeadLetter, type Message, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const Order = z.object({
  id: z.string().regex(/^SO-\d{5}$/),
  placedAt: z.iso.datetime().transform((text) => new Date(text)),
  customer: z.object({ name: z.string().min(1), email: z.email() }),
  items: z.array(z.object({ sku: z.string(), quantity: z.int().positive(), price: z.number() })).min(1),
});
type Order = z.output<typeof Order>;

const orders = queue('example.orders', Order, { retry: { attempts: 3, initialDelayMs: 200 } });

/** One order at a time, as plain JSON: the producer validates it. */
async function* readOrders(file: URL): AsyncGenerator<z.input<typeof Order>> {
  for await (const line of createInterface({ input: createReadStream(file) })) yield JSON.parse(line);
}

const totalOf = ({ items }: Order) => items.reduce((sum, { quantity, price }) => sum + quantity * price, 0);

let handled = 0;
let deadLettered = 0;
let turnover = 0;

/** The work on one order. What it throws decides what becomes of the message. */
async function handle(worker: string, { body: order, attempt }: Message<Order>): Promise<void> {
  const gone = order.items.find(({ sku }) => sku.endsWith('-OLD'));
  if (gone) throw new DeadLetter(`${gone.sku} is not sold any more`);
  if (order.id.endsWith('50') && attempt === 1) throw new Error('the payment service answered 503');
  await work(10);
  handled++;
  turnover += totalOf(order);
  const again = attempt > 1 ? `, attempt ${attempt}` : '';
  if (handled <= 5 || again) {
    const placed = order.placedAt.toUTCString().slice(5, 22);
    const [name, total] = [order.customer.name.padEnd(14), totalOf(order).toFixed(2).padStart(7)];
    console.log(`${worker}  ${order.id}  ${placed}  ${name} ${total} EUR${again}`);
  } else if (handled % 50 === 0) {
    console.log(`… ${handled} orders handled`);
  }
}

async function startWorker(name: string) {
  const broker = await Broker.connect(url, { name });
  broker.on('invalid-message', ({ messageId, issues }) => {
    console.log(`${name}  ${messageId}  does not fit the schema (${issues.length} issues)`);
  });
  broker.on('handler-error', ({ messageId, attempt, error }) => {
    console.log(`${name}  ${messageId}  attempt ${attempt} failed: ${(error as Error).message}`);
  });
  broker.on('dead-lettered', () => deadLettered++);
  const consumer = broker.consumer(orders, (message) => handle(name, message), { concurrency: 5 });
  await consumer.ready;
  return { name, consumer, stop: () => broker.close() };
}

await using _queues = await freshQueues(url, orders);
await using broker = await Broker.connect(url, { name: 'shop' });
const workers = [await startWorker('worker 1'), await startWorker('worker 2')];
const startedAt = performance.now();

// Every order of the file. One has a typing error in it: it is refused here and never sent.
const { sent, failed } = await broker
  .producer(orders)
  .sendAll(readOrders(new URL('data/orders.ndjson', import.meta.url)), {
    each: (order) => ({ messageId: order.id }),
  });
for (const { body, error } of failed) {
  console.log(`shop      ${body.id}  not sent: ${(error as Error).message}`);
}

// A client that knows nothing of the schema: what it sends reaches the queue, and no handler.
const anything = queue(orders.name, z.looseObject({}), { declare: false });
const foreign = { id: 'SO-1', customer: { name: '' }, items: [] };
await broker.producer(anything).send(foreign, { messageId: 'foreign-1' });

const expected = sent + 1;
await until(() => handled + deadLettered >= expected);
const seconds = (performance.now() - startedAt) / 1_000;
await Promise.all(workers.map((worker) => worker.stop()));

console.log('\nDead letters:');
for (const { id, error, issues } of await broker.deadLetters(orders).list()) {
  console.log(`  ${id}  ${issues ? 'does not fit the schema:' : `${error.code}: ${error.message}`}`);
  for (const { path, message } of issues ?? []) console.log(`    ${path.join('.')}: ${message}`);
}

const retried = workers.reduce((sum, { consumer }) => sum + consumer.stats.retried, 0);
const shares = workers.map(({ name, consumer }) => `${name}: ${consumer.stats.acked}`).join(', ');
const summary = {
  'refused before it was sent': failed.length,
  sent: expected,
  handled: `${handled}   (acknowledged by ${shares})`,
  retried,
  'dead-lettered': deadLettered,
  'left in the queue': (await broker.stats(orders)).messages,
  turnover: `${turnover.toFixed(2)} EUR`,
  duration: `${seconds.toFixed(2)} s`,
  rate: `${Math.round(expected / seconds)} msg/s`,
};
console.log('\nSummary:');
for (const [what, value] of Object.entries(summary)) console.log(`  ${what.padEnd(28)}${value}`);
