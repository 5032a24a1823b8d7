import { randomUUID } from 'node:crypto';
import type { Broker } from '../../broker/broker.js';
import type { Schema } from '../../contracts/body/schema.js';
import { procedure } from '../../contracts/procedure.js';
import { queue } from '../../contracts/queue.js';
import type { Invocation } from '../command.js';
import { EXIT, type ExitCode } from '../failure.js';
import { toJson } from '../text.js';
import { withBroker } from '../with-broker.js';

/** The time limits of the three parts; with connecting and cleaning up they stay below a minute. */
const PUBLISH_MS = 20_000;
const CONSUME_MS = 20_000;
const ASK_MS = 8_000;

const REQUESTS = 1_000;

/** If a queue somehow stays, the server deletes it after this time without use. */
const EXPIRES_MS = 60_000;

/** Measures through queues of its own, which are deleted afterwards. */
export async function run(invocation: Invocation): Promise<ExitCode> {
  const { values, positionals, terminal, json, signal } = invocation;
  const wanted = values.integer('messages', { min: 1, max: 10_000_000 }) ?? 20_000;
  const size = values.integer('size', { min: 0, max: 1024 * 1024 }) ?? 125;
  const result = await withBroker(
    invocation,
    async ({ broker, greeting, where }) => {
      const parts = { broker, body: Buffer.alloc(size, 'x'), invocation };
      const publish = await publishAndConsume(parts, wanted);
      signal.throwIfAborted();
      const roundTrip = await ask(parts);
      return {
        server: { address: where.label, version: greeting.version },
        messages: publish.messages,
        bodyBytes: size,
        publish: { perSecond: publish.publishPerSecond },
        consume: { perSecond: publish.consumePerSecond },
        roundTrip,
      };
    },
    positionals[0],
  );
  if (json) await terminal.print(toJson(result));
  else {
    const { bold, dim } = terminal.palette;
    const of = `${result.messages} messages of ${size} bytes`;
    await terminal.print(
      `${bold(result.server.address)} ${dim(`RabbitMQ ${result.server.version}, ${of}`)}`,
      '',
      `publish     ${rate(result.publish.perSecond)}  confirmed, to a classic queue`,
      `consume     ${rate(result.consume.perSecond)}  each acknowledged`,
      `round trip  ${`${result.roundTrip.p50Ms} ms`.padStart(12)}  the median; 99 of 100 take at most ${result.roundTrip.p99Ms} ms`,
    );
  }
  return EXIT.done;
}

interface Parts {
  readonly broker: Broker;
  readonly body: Buffer;
  readonly invocation: Invocation;
}

async function publishAndConsume({ broker, body, invocation }: Parts, wanted: number) {
  const { terminal, signal } = invocation;
  // Exclusive to this connection: deleted with it, however that ends.
  const contract = queue(`leveret.bench.${randomUUID()}`, bytes, {
    type: 'classic',
    durable: false,
    exclusive: true,
    codec: 'bytes',
    deadLetter: false,
    retry: false,
    expiresMs: EXPIRES_MS,
  });
  await broker.declare(contract);
  const producer = broker.producer(contract);
  // The first sends open the channel.
  await producer.send(body);
  await broker.purge(contract);
  const begunAt = performance.now();
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(PUBLISH_MS)]);
  const { sent } = await producer.sendAll(repeated(body, wanted), {
    signal: deadline,
    onProgress: (progress) => terminal.progress('publish', progress.sent, wanted),
  });
  const publishPerSecond = perSecond(sent, begunAt);
  signal.throwIfAborted();
  const consumed = await consume({ broker, body, invocation }, contract, sent);
  await broker.delete(contract);
  return { messages: sent, publishPerSecond, consumePerSecond: consumed };
}

async function consume(
  { broker, invocation }: Parts,
  contract: ReturnType<typeof queue<typeof bytes, 'bytes'>>,
  expected: number,
): Promise<number> {
  const { terminal, signal } = invocation;
  let count = 0;
  let finish = () => {};
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const begunAt = performance.now();
  const consumer = broker.consumer(
    contract,
    () => {
      count++;
      if (count % 500 === 0) terminal.progress('consume', count, expected);
      if (count >= expected) finish();
    },
    { concurrency: 100 },
  );
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(CONSUME_MS)]);
  deadline.addEventListener('abort', finish, { once: true });
  if (expected > 0) await done;
  const result = perSecond(count, begunAt);
  await consumer.close({ timeoutMs: 2_000 });
  return result;
}

async function ask({ broker, body, invocation }: Parts) {
  const { terminal, signal } = invocation;
  const contract = procedure(`leveret.bench.${randomUUID()}`, {
    request: bytes,
    response: bytes,
    codec: 'bytes',
    autoDelete: true,
    expiresMs: EXPIRES_MS,
  });
  const responder = broker.responder(contract, ({ body: request }) => request);
  try {
    await responder.ready;
    const giveUpAt = performance.now() + ASK_MS;
    const times: number[] = [];
    for (let n = 0; n < REQUESTS && performance.now() < giveUpAt; n++) {
      const begunAt = performance.now();
      await broker.request(contract, body, { timeoutMs: ASK_MS, signal });
      times.push(performance.now() - begunAt);
      if (n % 50 === 0) terminal.progress('ask', n, REQUESTS);
    }
    times.sort((a, b) => a - b);
    return { p50Ms: percentile(times, 0.5), p99Ms: percentile(times, 0.99) };
  } finally {
    await responder.close({ timeoutMs: 2_000 });
    // The queue is deleted with its last consumer, unless that never came.
    await broker.delete(contract).catch(() => {});
  }
}

const bytes: Schema<Uint8Array> = {
  '~standard': { version: 1, vendor: 'leveret', validate: (value) => ({ value: value as Uint8Array }) },
};

function* repeated<T>(value: T, times: number): Generator<T> {
  for (let n = 0; n < times; n++) yield value;
}

function perSecond(count: number, begunAt: number): number {
  return Math.round((count * 1_000) / Math.max(1, performance.now() - begunAt));
}

function percentile(sorted: readonly number[], part: number): number {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return Number(value.toFixed(3));
}

const rate = (value: number) => `${value}/s`.padStart(12);
