/**
 * How exact delays are, and what is left of failed messages when the server dies.
 *
 *     npx tsx bench/delay.ts            5 000 delayed sends over 1 to 8 s: how late each arrives
 *     npx tsx bench/delay.ts kill       2 000 messages fail three times each while the server is killed ten times
 *
 * Runs on a private node, of the RabbitMQ in RABBITMQ_ROOT where that is set; the first also on RABBITMQ_URL.
 */
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { retryUnderKills } from '../test/helpers/retry-under-kills.js';
import { startPrivateServer } from '../test/helpers/server/index.js';

const SENDS = 5_000;
const stamped = z.object({ sentAt: z.number(), delayMs: z.number() });

async function lateness(url: string): Promise<void> {
  await using broker = await Broker.connect(url, { name: 'bench delay' });
  const name = `bench.${process.pid}.acme.sales`;
  const target = queue(name, stamped, { deadLetter: false });
  const neighbour = queue('sales', stamped, { deadLetter: false });
  await broker.declare(neighbour);
  const late: number[] = [];
  const consumer = broker.consumer(
    target,
    ({ body: { sentAt, delayMs } }) => void late.push(Date.now() - sentAt - delayMs),
    { concurrency: 100 },
  );
  await consumer.ready;
  const producer = broker.producer(target);
  const send = (delayMs: number) => producer.send({ sentAt: Date.now(), delayMs }, { delayMs });
  // Declares the levels.
  await Promise.all(Array.from({ length: 64 }, () => send(500 + 7_500 * Math.random())));
  await until(() => late.length === 64, 20_000);
  late.length = 0;

  const sends: Promise<unknown>[] = [];
  for (let at = 0; at < SENDS; at++) {
    sends.push(send(1_000 + Math.floor((7_000 * at) / SENDS)));
    if (sends.length % 100 === 0) await sends.at(-100);
  }
  await Promise.all(sends);
  await until(() => late.length === SENDS, 60_000);
  await new Promise((resolve) => setTimeout(resolve, 500));

  late.sort((a, b) => a - b);
  const at = (share: number) =>
    Math.round(late[Math.min(late.length - 1, Math.floor(late.length * share))] ?? 0);
  const { messages } = await broker.stats(neighbour);
  console.log(
    `${late.length} of ${SENDS} arrived, ${late.filter((ms) => ms < 0).length} early; late: ` +
      `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, at most ${at(1)} ms; ${messages} in 'sales'`,
  );
  await broker.delete(target);
  await broker.delete(neighbour);
}

async function until(condition: () => boolean, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function main(): Promise<void> {
  const isKilling = process.argv[2] === 'kill';
  const { RABBITMQ_URL } = process.env;
  if (RABBITMQ_URL !== undefined && !isKilling) {
    await lateness(RABBITMQ_URL);
    return;
  }
  await using server = await startPrivateServer();
  console.log(`RabbitMQ ${server.version}`);
  if (isKilling)
    console.log(await retryUnderKills(server, { messages: 2_000, kills: 10, patienceMs: 240_000 }));
  else await lateness(server.url);
}

await main();
