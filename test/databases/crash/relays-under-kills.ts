import { setTimeout as delay } from 'node:timers/promises';
import { Broker } from 'leveret';
import pg from 'pg';
import { entries, outbox } from './contracts.js';
import { Herd } from './herd.js';

export interface RelayReport {
  readonly committed: number;
  readonly rolledBack: number;
  readonly kills: number;
  readonly received: number;
  /** Committed and never received. */
  readonly lost: number;
  /** Received and never committed. */
  readonly invented: number;
  /** First received after a later one of its key. */
  readonly outOfOrder: number;
  readonly repeats: number;
  /** Repeats with another id than the first. */
  readonly renamed: number;
  readonly left: number;
}

const KEYS = 20;
const WRITERS = 12;

/** Writes rows while two relays are killed all the time, and compares what was committed with what arrived. */
export async function relaysUnderKills(options: {
  readonly databaseUrl: string;
  readonly rabbitUrl: string;
  readonly durationMs: number;
  readonly atLeastKills: number;
  readonly killEveryMs: number;
  readonly rowsPerSecond: number;
}): Promise<RelayReport> {
  const { databaseUrl, rabbitUrl, durationMs, atLeastKills, killEveryMs, rowsPerSecond } = options;
  const pool = new pg.Pool({ connectionString: databaseUrl, max: WRITERS + 1 });
  pool.on('error', () => {});
  await using broker = await Broker.connect(rabbitUrl);
  const ids = new Map<number, Set<string | undefined>>();
  const firsts = new Map<string, number[]>();
  let received = 0;
  await broker.consumer(
    entries,
    ({ body: { key, sequence, n }, id }) => {
      received++;
      const seen = ids.get(n);
      if (seen) {
        seen.add(id);
        return;
      }
      ids.set(n, new Set([id]));
      firsts.set(key, [...(firsts.get(key) ?? []), sequence]);
    },
    { prefetch: 500 },
  ).ready;
  await using herd = await Herd.of(
    new URL('./relay-program.ts', import.meta.url),
    [databaseUrl, rabbitUrl],
    2,
  );

  const committed = new Set<number>();
  const sequences = new Map<string, number>();
  let rolledBack = 0;
  let n = 0;
  let isOver = false;
  const write = async () => {
    while (!isOver) {
      const startedAt = performance.now();
      const key = `key ${Math.floor(Math.random() * KEYS)}`;
      const client = await pool.connect();
      await client.query('begin');
      // Its transactions exclude each other from here until they end.
      await client.query('select pg_advisory_xact_lock(hashtext($1))', [key]);
      const mine = n++;
      const sequence = (sequences.get(key) ?? 0) + 1;
      await outbox.send(client, entries, { key, sequence, n: mine }, { key });
      const isKept = Math.random() > 0.05;
      if (isKept) sequences.set(key, sequence);
      await client.query(isKept ? 'commit' : 'rollback');
      if (isKept) committed.add(mine);
      else rolledBack++;
      client.release();
      await delay(Math.max(0, (1_000 * WRITERS) / rowsPerSecond - (performance.now() - startedAt)));
    }
  };
  const killing = herd
    .killFor(durationMs, atLeastKills, () => killEveryMs)
    .finally(() => {
      isOver = true;
    });
  await Promise.all([killing, ...Array.from({ length: WRITERS }, write)]);

  const left = async () => Number((await pool.query('select count(*) as n from leveret_outbox')).rows[0].n);
  const giveUpAt = performance.now() + 60_000;
  while (((await left()) > 0 || ids.size < committed.size) && performance.now() < giveUpAt) await delay(100);
  const report = {
    committed: committed.size,
    rolledBack,
    kills: herd.kills,
    received,
    lost: [...committed].filter((it) => !ids.has(it)).length,
    invented: [...ids.keys()].filter((it) => !committed.has(it)).length,
    outOfOrder: [...firsts.values()].reduce(
      (sum, list) => sum + list.filter((it, at) => it !== at + 1).length,
      0,
    ),
    repeats: received - ids.size,
    renamed: [...ids.values()].filter((set) => set.size > 1).length,
    left: await left(),
  };
  await pool.end();
  return report;
}
