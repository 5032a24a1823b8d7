/** Competing workers: several instances share the tasks of one queue fairly, and each one added raises the throughput. */
import { setTimeout as work } from 'node:timers/promises';
import { Broker, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const WORK_MS = 25;
const TASKS = 180;
const TASKS_PER_PHASE = 45;

const tasks = queue('example.tasks', z.object({ task: z.int() }));

/** One instance, as if it were a process or a machine of its own. */
async function startWorker(name: string) {
  const broker = await Broker.connect(url, { name });
  const worker = { name, handled: 0, stop: () => broker.close() };
  const consumer = broker.consumer(
    tasks,
    async () => {
      await work(WORK_MS);
      worker.handled++;
    },
    { prefetch: 1 }, // The next task goes to a free worker, also to one that joins late.
  );
  await consumer.ready;
  return worker;
}

await using _queues = await freshQueues(url, tasks);
await using broker = await Broker.connect(url, { name: 'producer' });
await broker.producer(tasks).sendAll(Array.from({ length: TASKS }, (_, index) => ({ task: index + 1 })));
console.log(`${TASKS} tasks wait; each takes ${WORK_MS} ms of work.`);

const workers: Awaited<ReturnType<typeof startWorker>>[] = [];
const handled = () => workers.reduce((sum, worker) => sum + worker.handled, 0);

for (const count of [1, 2, 3]) {
  workers.push(await startWorker(`worker ${count}`));
  const before = workers.map((worker) => worker.handled);
  const handledBefore = handled();
  const startedAt = performance.now();
  await until(() => handled() >= handledBefore + TASKS_PER_PHASE);
  const perSecond = (handled() - handledBefore) / ((performance.now() - startedAt) / 1_000);
  const shares = workers.map((worker, index) => `${worker.name}: ${worker.handled - (before[index] ?? 0)}`);
  console.log(`${count} at work  ${perSecond.toFixed(0).padStart(4)} tasks/s   ${shares.join('   ')}`);
}

await until(() => handled() >= TASKS);
await Promise.all(workers.map((worker) => worker.stop()));
console.log(`In all: ${handled()} tasks handled, every one of them once.`);
