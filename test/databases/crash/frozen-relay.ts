import { setTimeout as delay } from 'node:timers/promises';
import { Broker } from 'leveret';
import pg from 'pg';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { entries, outbox } from './contracts.js';
import { Herd } from './herd.js';

export interface FrozenReport {
  readonly rows: number;
  /** From the freeze until another relay had sent every row. */
  readonly takenOverMs: number;
  /** Messages of the frozen relay, before it froze. */
  readonly sentBefore: number;
  /** Messages in all, some seconds after it woke. */
  readonly sentInAll: number;
}

/** Freezes a relay in the middle of a batch whose confirms do not come, and wakes it when another one has sent its rows. */
export async function frozenRelay(databaseUrl: string, rabbitUrl: string): Promise<FrozenReport> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 3 });
  pool.on('error', () => {});
  await using proxy = await TcpProxy.listen(rabbitUrl);
  await using broker = await Broker.connect(rabbitUrl);
  await broker.declare(entries);
  const ids: string[] = [];
  await broker.consumer(entries, ({ id }) => ids.push(id ?? '')).ready;
  await using herd = await Herd.of(
    new URL('./relay-program.ts', import.meta.url),
    [databaseUrl, proxy.via(rabbitUrl)],
    1,
  );
  const rows = 40;
  const commit = async (from: number, to: number) => {
    const client = await pool.connect();
    await client.query('begin');
    for (let n = from; n < to; n++)
      await outbox.send(client, entries, { key: 'a', sequence: n, n }, { key: `${n % 4}` });
    await client.query('commit');
    client.release();
  };
  // One that goes through: then its channel is open.
  await commit(0, 4);
  while (ids.length < 4) await delay(20);
  await delay(500);
  ids.length = 0;
  proxy.blackhole('to-client');
  await commit(4, 4 + rows);
  while (ids.length < 4) await delay(20);
  herd.freeze();
  const frozenAt = performance.now();
  const sentBefore = ids.length;
  proxy.blackhole(false);
  const second = broker.relay(outbox, { db: pool, pollMs: 100 });
  while (second.stats.sent < rows && performance.now() - frozenAt < 60_000) await delay(50);
  const takenOverMs = Math.round(performance.now() - frozenAt);
  herd.thaw();
  await delay(5_000);
  await second.close();
  await pool.end();
  return { rows, takenOverMs, sentBefore, sentInAll: ids.length };
}
