/** Automatic acknowledgement (`noAck`) and why it loses messages: the same crash, with and without it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as work } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

// Each worker is a process, so this takes a real server: a broker in memory is inside one process.
const url = process.env.RABBITMQ_URL ?? 'amqp://localhost';

const TASKS = 10;
const WORK_MS = 100;

const payments = queue('example.payments', z.object({ payment: z.int() }));

/** The worker process: this same file, started with the mode. It tells its parent when it is in the middle of a task. */
async function runWorker(mode: string): Promise<void> {
  await using broker = await Broker.connect(url, { name: `worker, ${mode}` });
  broker.consumer(
    payments,
    async ({ body }) => {
      await work(WORK_MS / 2);
      process.send?.(body.payment);
      await work(WORK_MS / 2);
    },
    { noAck: mode === 'automatic' },
  );
  await once(process, 'disconnect');
}

async function crashInTheFourth(mode: 'automatic' | 'after the work'): Promise<void> {
  await using _queues = await freshQueues(url, payments);
  await using broker = await Broker.connect(url, { name: 'producer' });
  const bodies = Array.from({ length: TASKS }, (_, index) => ({ payment: index + 1 }));
  const { sent } = await broker.producer(payments).sendAll(bodies);

  const worker = fork(fileURLToPath(import.meta.url), [mode]);
  let started = 0;
  worker.on('message', (payment: number) => {
    started = payment;
    if (started === 4) worker.kill('SIGKILL');
  });
  await once(worker, 'exit');
  await until(async () => (await broker.stats(payments)).consumers === 0);

  const { messages } = await broker.stats(payments);
  const done = started - 1;
  console.log(`Acknowledged ${mode}:`);
  console.log(`  ${sent} payments sent, ${done} done, killed in the middle of payment ${started}`);
  console.log(`  ${messages} are still in the queue for the next worker, ${sent - done - messages} are lost`);
}

const [mode] = process.argv.slice(2);
if (mode) {
  await runWorker(mode);
} else {
  await crashInTheFourth('automatic');
  await crashInTheFourth('after the work');
}
