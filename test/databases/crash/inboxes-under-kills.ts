import { setTimeout as delay } from 'node:timers/promises';
import { Broker } from 'leveret';
import pg from 'pg';
import { entries } from './contracts.js';
import { Herd } from './herd.js';

export interface InboxReport {
  readonly messages: number;
  /** Messages that were sent again, under their ids. */
  readonly sentAgain: number;
  readonly kills: number;
  /** Messages whose row is there exactly once. */
  readonly once: number;
  readonly missing: number;
  readonly twice: number;
}

/** Sends messages, some of them twice, to consumers with an inbox that are killed at random moments. */
export async function inboxesUnderKills(options: {
  readonly databaseUrl: string;
  readonly rabbitUrl: string;
  readonly durationMs: number;
  readonly atLeastKills: number;
  readonly perSecond: number;
}): Promise<InboxReport> {
  const { databaseUrl, rabbitUrl, durationMs, atLeastKills, perSecond } = options;
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
  pool.on('error', () => {});
  await pool.query('create table if not exists effects (n integer, pid integer)');
  await using broker = await Broker.connect(rabbitUrl);
  await broker.declare(entries);
  const producer = broker.producer(entries);
  await using herd = await Herd.of(
    new URL('./inbox-program.ts', import.meta.url),
    [databaseUrl, rabbitUrl],
    2,
  );
  let messages = 0;
  let sentAgain = 0;
  let isOver = false;
  const send = async () => {
    while (!isOver) {
      const n = messages++;
      const body = { key: 'a', sequence: n, n };
      await producer.send(body, { messageId: `entry ${n}` });
      if (Math.random() < 0.2) {
        sentAgain++;
        await delay(Math.random() * 200);
        await producer.send(body, { messageId: `entry ${n}` });
      }
      await delay(1_000 / perSecond);
    }
  };
  const killing = herd
    .killFor(durationMs, atLeastKills, () => 100 + Math.random() * 500)
    .finally(() => {
      isOver = true;
    });
  await Promise.all([killing, send()]);

  const counts = async () =>
    (await pool.query('select n, count(*)::int as count from effects group by n')).rows;
  const giveUpAt = performance.now() + 60_000;
  const isDone = async () =>
    (await counts()).length >= messages && (await broker.stats(entries)).messages === 0;
  while (!(await isDone()) && performance.now() < giveUpAt) await delay(200);
  // What was sent twice, or is handled at this moment, has a chance to be there twice.
  await delay(1_000);
  const rows: { readonly n: number; readonly count: number }[] = await counts();
  await pool.end();
  return {
    messages,
    sentAgain,
    kills: herd.kills,
    once: rows.filter(({ count }) => count === 1).length,
    missing: messages - rows.length,
    twice: rows.filter(({ count }) => count > 1).length,
  };
}
