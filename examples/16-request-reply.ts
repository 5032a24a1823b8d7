/** Request and reply: a service that quotes prices, asked like a function, with both sides checked and every failure named. */
import { setTimeout as work } from 'node:timers/promises';
import { Broker, isLeveretError, procedure, RemoteError } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const quote = procedure('example.quote', {
  request: z.object({ sku: z.string().min(1), quantity: z.int().positive().default(1) }),
  response: z.object({ total: z.number(), validUntil: z.iso.datetime().transform((text) => new Date(text)) }),
});

const PRICES: Readonly<Record<string, number>> = { 'MUG-HARE': 12.5, 'CAP-HARE': 19 };

class UnknownSku extends Error {
  readonly code = 'UNKNOWN_SKU';
}

/** One instance of the service, as if it were a process of its own. */
async function startService(name: string) {
  const broker = await Broker.connect(url, { name });
  // The requester is told of each failure. Without a listener or a logger, the process would warn of the first one, too.
  broker.on('handler-error', () => {});
  const service = { name, answered: 0, stop: () => broker.close() };
  const responder = broker.responder(
    quote,
    async ({ body: { sku, quantity } }) => {
      const price = PRICES[sku];
      if (price === undefined) throw new UnknownSku(`there is no ${sku}`);
      await work(10);
      service.answered++;
      return { total: price * quantity, validUntil: '2030-01-01T00:00:00Z' };
    },
    { concurrency: 10, prefetch: 10 },
  );
  await responder.ready;
  return service;
}

async function ask(broker: Broker, sku: string, options?: { timeoutMs: number }): Promise<void> {
  try {
    const { total, validUntil } = await broker.request(quote, { sku }, options);
    console.log(`${sku}: ${total.toFixed(2)} EUR until ${validUntil.getUTCFullYear()}`);
  } catch (error) {
    if (!isLeveretError(error)) throw error;
    const code = error instanceof RemoteError ? `${error.code} ${error.remoteCode}` : error.code;
    console.log(`${sku || '(no sku)'}: ${code}: ${error.message}`);
  }
}

await using _queues = await freshQueues(url, quote.queue);
await using shop = await Broker.connect(url, { name: 'shop' });

console.log('No service has ever run:');
await ask(shop, 'MUG-HARE');

console.log('Two instances run:');
const services = [await startService('service 1'), await startService('service 2')];
await ask(shop, 'MUG-HARE');
await ask(shop, 'CAP-DOG');
await ask(shop, '');

const asked = Array.from({ length: 40 }, (_, n) => shop.request(quote, { sku: 'CAP-HARE', quantity: n + 1 }));
const totals = (await Promise.all(asked)).map(({ total }) => total);
const isRight = totals.every((total, n) => total === 19 * (n + 1));
console.log(`40 requests at once: ${isRight ? 'each got its own answer' : 'the answers are mixed up'}`);
const shared = services.every(({ answered }) => answered > 0);
console.log(
  `The work was ${shared ? 'shared' : 'done by one alone'}: ${services[0]?.name} and ${services[1]?.name}`,
);

console.log('Both have stopped:');
await Promise.all(services.map((service) => service.stop()));
await ask(shop, 'MUG-HARE', { timeoutMs: 1_000 });
