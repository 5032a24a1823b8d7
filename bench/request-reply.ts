/**
 * How long a request takes from the call to its answer, one after the other: bare amqplib with `noDelay`, and Leveret with its
 * schemas, alternately in blocks of one run. Each side has its responder in the same process, on connections of its own.
 *
 *     RABBITMQ_URL=amqp://localhost npx tsx bench/request-reply.ts [rounds] [requests in a round]
 */
import { randomUUID } from 'node:crypto';
import { connect } from 'amqplib';
import { z } from 'zod';
import { Broker, procedure } from '../src/index.js';

type Ask = (sku: string) => Promise<unknown>;

interface Side extends AsyncDisposable {
  readonly ask: Ask;
}

const url = process.env.RABBITMQ_URL ?? 'amqp://localhost';
const rounds = Number(process.argv[2] ?? 40);
const perRound = Number(process.argv[3] ?? 100);

async function bare(queue: string): Promise<Side> {
  const [asking, answering] = [await connect(url, { noDelay: true }), await connect(url, { noDelay: true })];
  const responder = await answering.createChannel();
  await responder.assertQueue(queue);
  await responder.prefetch(50);
  await responder.consume(queue, (message) => {
    if (!message) return;
    const { sku } = JSON.parse(message.content.toString());
    const { replyTo, correlationId } = message.properties;
    responder.sendToQueue(replyTo, Buffer.from(JSON.stringify({ price: sku.length })), { correlationId });
    responder.ack(message);
  });
  const requester = await asking.createChannel();
  const waiting = new Map<string, (body: unknown) => void>();
  await requester.consume(
    'amq.rabbitmq.reply-to',
    (message) => {
      if (!message) return;
      const { correlationId } = message.properties;
      const resolve = waiting.get(correlationId);
      waiting.delete(correlationId);
      resolve?.(JSON.parse(message.content.toString()));
    },
    { noAck: true },
  );
  return {
    ask: (sku) =>
      new Promise((resolve) => {
        const correlationId = randomUUID();
        waiting.set(correlationId, resolve);
        requester.sendToQueue(queue, Buffer.from(JSON.stringify({ sku })), {
          correlationId,
          replyTo: 'amq.rabbitmq.reply-to',
        });
      }),
    async [Symbol.asyncDispose]() {
      await responder.deleteQueue(queue);
      await Promise.all([asking.close(), answering.close()]);
    },
  };
}

async function leveret(queue: string): Promise<Side> {
  const quote = procedure(queue, {
    request: z.object({ sku: z.string() }),
    response: z.object({ price: z.number() }),
  });
  const [asking, answering] = [await Broker.connect(url), await Broker.connect(url)];
  await answering.responder(quote, ({ body }) => ({ price: body.sku.length })).ready;
  return {
    ask: (sku) => asking.request(quote, { sku }),
    async [Symbol.asyncDispose]() {
      await answering.delete(quote);
      await Promise.all([asking.close(), answering.close()]);
    },
  };
}

/** Milliseconds that each of so many requests took. */
async function measure(ask: Ask, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    const startedAt = performance.now();
    await ask('A1');
    times.push(performance.now() - startedAt);
  }
  return times;
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

const id = randomUUID();
await using one = await bare(`bench.bare.${id}`);
await using two = await leveret(`bench.leveret.${id}`);
const sides = [
  { name: 'amqplib', ask: one.ask, times: [] as number[] },
  { name: 'leveret', ask: two.ask, times: [] as number[] },
];
for (const { ask } of sides) await measure(ask, 500);
for (let round = 0; round < rounds; round++) {
  // Neither always follows the other.
  const order = round % 2 === 0 ? sides : [...sides].reverse();
  for (const { ask, times } of order) times.push(...(await measure(ask, perRound)));
}

const results = sides.map(({ name, times }) => {
  const sorted = times.toSorted((a, b) => a - b);
  return { name, requests: sorted.length, p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) };
});
for (const { name, requests, p50, p99 } of results)
  console.log(`${name.padEnd(10)}${requests} requests   p50 ${p50.toFixed(3)} ms   p99 ${p99.toFixed(3)} ms`);
const [base, ours] = results;
if (base && ours) {
  const [p50, p99] = [ours.p50 / base.p50, ours.p99 / base.p99];
  console.log(`ratio     p50 ${p50.toFixed(2)}   p99 ${p99.toFixed(2)}`);
}
