import { Broker, delays, queue } from 'leveret';
import { z } from 'zod';
import { type PrivateServer, queueDepth } from './server/index.js';

/** Each message fails so often before it succeeds. */
const FAILURES = 3;

/** What became of the messages of {@link retryUnderKills}. */
export interface RetriesUnderKills {
  /** Confirmed sends. */
  readonly sent: number;
  /** Different messages that succeeded in the end. */
  readonly handled: number;
  /** Messages in the dead-letter queue. */
  readonly dead: number;
  /** Neither of both: lost. */
  readonly lost: number;
  /** Runs of the handler beyond those that failed and succeeded as planned: what the crashes repeated. */
  readonly extraRuns: number;
  readonly seconds: number;
}

/**
 * Kills the server again and again while messages fail and wait for their next attempt.
 *
 * @param options - `patienceMs`: how long to wait for what is missing in the end. A message that was just changing from one
 * queue to the next when the server died is only sent on after `dead_letter_worker_publisher_confirm_timeout`: 3 minutes,
 * unless the server is told otherwise
 */
export async function retryUnderKills(
  server: PrivateServer,
  {
    messages,
    kills,
    patienceMs,
  }: { readonly messages: number; readonly kills: number; readonly patienceMs: number },
): Promise<RetriesUnderKills> {
  const tasks = queue('tasks', z.object({ n: z.number().int() }), {
    deliveryLimit: 1_000,
    retry: { attempts: 500, initialDelayMs: 1_000, factor: 2, maxDelayMs: 4_000 },
  });
  await using broker = await Broker.connect(server.url, { name: 'retry under kills' });
  await broker.declare(tasks, delays(tasks));
  await server.settleMetadata();

  const startedAt = performance.now();
  const failed = new Map<number, number>();
  const handled = new Set<number>();
  let runs = 0;
  const consumer = broker.consumer(
    tasks,
    async ({ body: { n } }) => {
      runs++;
      const times = failed.get(n) ?? 0;
      if (times < FAILURES) {
        failed.set(n, times + 1);
        throw new Error('not yet');
      }
      handled.add(n);
    },
    { concurrency: 50 },
  );
  await consumer.ready;
  const producer = broker.producer(tasks);
  const sends = Array.from({ length: messages }, (_, n) => producer.send({ n }, { timeoutMs: 120_000 }));

  // Each kill comes while something waits, and after everything has gone on for a while since the last one.
  for (let kill = 0; kill < kills; kill++) {
    const share = (kill + 1) / (kills + 1);
    const runsBefore = runs;
    await until(
      () => runs >= messages * (FAILURES + 1) * share * 0.9 || runs > runsBefore + messages,
      patienceMs,
    );
    await server.kill();
    await server.start();
  }
  await Promise.all(sends);
  const dead = () => queueDepth(server.url, 'tasks.dead');
  let buried = 0;
  await until(async () => {
    buried = await dead();
    return handled.size + buried >= messages;
  }, patienceMs);
  return {
    sent: sends.length,
    handled: handled.size,
    dead: buried,
    lost: messages - handled.size - buried,
    extraRuns: runs - messages * (FAILURES + 1),
    seconds: Math.round((performance.now() - startedAt) / 1_000),
  };
}

async function until(condition: () => boolean | Promise<boolean>, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition()) && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 50));
}
