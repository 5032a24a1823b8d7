import { Broker } from 'leveret';
import { SEND_TIMEOUT_MS } from '../harness/limits.js';
import { brokerOptions, journal } from './child.js';
import type { ConsumingClient, Handler, SendingClient } from './clients.js';
import { anything, billing, jobs, orders, work } from './workload.js';

const names = [
  'connected',
  'disconnected',
  'connect-failed',
  'blocked',
  'unblocked',
  'consumer-recovered',
] as const;

async function connect(url: string): Promise<Broker> {
  const broker = await Broker.connect(url, brokerOptions);
  for (const name of names) broker.on(name, () => journal.note({ e: 'event', name }));
  return broker;
}

export async function leveretSender(url: string): Promise<SendingClient> {
  const broker = await connect(url);
  const limits = { timeoutMs: SEND_TIMEOUT_MS };
  const producers = {
    work: broker.producer(work, limits),
    jobs: broker.producer(jobs, limits),
    orders: broker.producer(orders, limits),
    anything: broker.producer(anything, limits),
  };
  return {
    send: (target, body) =>
      target === 'orders'
        ? producers.orders.send(body as never, { routingKey: 'eu.created', mandatory: true })
        : producers[target].send(body as never),
    get pending() {
      return Object.values(producers).reduce((sum, { pending }) => sum + pending, 0);
    },
    ask: () => broker.stats(work),
    close: () => broker.close(),
  };
}

export async function leveretConsumers(url: string, handle: Handler): Promise<ConsumingClient> {
  const broker = await connect(url);
  const loop = broker.consumer(billing);
  const consumers = [
    broker.consumer(work, handle, { concurrency: 10 }),
    broker.consumer(jobs, handle, { concurrency: 5, prefetch: 20 }),
    loop,
  ];
  void (async () => {
    for await (const message of loop) {
      try {
        await handle(message);
      } catch {
        message.retry();
      }
    }
  })();
  await Promise.all(consumers.map(({ ready }) => ready));
  return { close: () => broker.close() };
}
