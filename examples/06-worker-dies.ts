/** A worker process is killed in mid-task (SIGKILL): another one gets the message, marked as redelivered, attempt 2. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as work } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

// Each worker is a process, so this takes a real server: a broker in memory is inside one process.
const url = process.env.RABBITMQ_URL ?? 'amqp://localhost';

const invoices = queue('example.invoices', z.object({ invoice: z.int() }));

/** What a worker process does: it is this same file, started with a name. It tells its parent how far it is. */
async function runWorker(name: string): Promise<void> {
  await using broker = await Broker.connect(url, { name });
  const consumer = broker.consumer(invoices, async ({ body, attempt, redelivered }) => {
    const what = `invoice ${body.invoice}`;
    console.log(`  ${name} takes ${what}: attempt ${attempt}, ${redelivered ? '' : 'not '}redelivered`);
    process.send?.('busy');
    await work(500);
    console.log(`  ${name} has finished ${what}`);
    process.send?.('finished');
  });
  await consumer.ready;
  process.send?.('ready');
  await once(process, 'disconnect');
}

interface Worker {
  readonly name: string;
  readonly process: ChildProcess;
  readonly steps: unknown[];
}

async function startWorker(name: string): Promise<Worker> {
  const worker: Worker = { name, process: fork(fileURLToPath(import.meta.url), [name]), steps: [] };
  worker.process.on('message', (step) => worker.steps.push(step));
  await until(() => worker.steps.includes('ready'));
  console.log(`${name} is ready: process ${worker.process.pid}`);
  return worker;
}

async function main(): Promise<void> {
  await using _queues = await freshQueues(url, invoices);
  await using broker = await Broker.connect(url, { name: 'producer' });
  const [one, other] = await Promise.all([startWorker('worker 1'), startWorker('worker 2')]);
  await broker.producer(invoices).send({ invoice: 42 });
  console.log('invoice 42 is sent');

  const isBusy = (worker: Worker) => worker.steps.includes('busy');
  await until(() => isBusy(one) || isBusy(other));
  const [victim, heir] = isBusy(one) ? [one, other] : [other, one];
  victim.process.kill('SIGKILL');
  const [, signal] = await once(victim.process, 'exit');
  console.log(`${victim.name} is dead: ${signal}`);

  await until(() => heir.steps.includes('finished'));
  heir.process.disconnect();
  await once(heir.process, 'exit');
  const { messages } = await broker.stats(invoices);
  console.log(`Messages left in the queue: ${messages}. invoice 42 is done.`);
}

const [name] = process.argv.slice(2);
await (name ? runWorker(name) : main());
