/** Ordering by key: the events of one account in order, those of different accounts in parallel. */
import { setTimeout as work } from 'node:timers/promises';
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const bookings = queue('example.bookings', z.object({ account: z.string(), amount: z.int() }), {
  retry: { initialDelayMs: 50, jitter: false },
});

await using _queues = await freshQueues(url, bookings);
await using broker = await Broker.connect(url);
// One run fails, as it should. Without a listener or a logger, the process would warn of it.
broker.on('handler-error', () => {});

const booked = new Map<string, number[]>();
let running = 0;
let most = 0;
const consumer = broker.consumer(
  bookings,
  async ({ body: { account, amount }, attempt }) => {
    most = Math.max(most, ++running);
    await work(5);
    running--;
    // The others of this account wait until it has run again; those of the other accounts do not.
    if (account === 'Ada' && amount === 3 && attempt === 1) throw new Error('the ledger is locked');
    booked.set(account, [...(booked.get(account) ?? []), amount]);
  },
  { concurrency: 20, prefetch: 100, orderBy: ({ body }) => body.account },
);

const accounts = ['Ada', 'Bob', 'Cleo', 'Dan'];
const events = [1, 2, 3, 4, 5, 6].flatMap((amount) => accounts.map((account) => ({ account, amount })));
await broker.producer(bookings).sendAll(events);
await until(() => consumer.stats.acked === events.length);

for (const account of accounts) console.log(`${account.padEnd(5)} ${booked.get(account)?.join(' ')}`);
console.log(`retried: ${consumer.stats.retried}`);
console.log(`several accounts at once: ${most > 1 ? 'yes' : 'no'}, never more than ${accounts.length}`);
