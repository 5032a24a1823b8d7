/**
 * Measures the outbox: what it costs the writers, how much a relay sends, and how long a committed row takes to its handler.
 * `npm run bench:outbox`, with `RABBITMQ_URL` and `DATABASE_URL` where they are to run. `POSTGRES_FSYNC=on` lets a private
 * PostgreSQL write to the disk at each commit, as real ones do.
 */
import { randomUUID } from 'node:crypto';
import { Broker, queue } from 'leveret';
import { postgresOutbox } from 'leveret/postgres';
import pg from 'pg';
import { z } from 'zod';
import { acquirePostgres } from '../test/helpers/databases/postgres.js';
import { createVhost } from '../test/helpers/server/index.js';
import { acquireServer } from '../test/helpers/server/shared-server.js';

const CLIENTS = 12;
const ROUND_MS = 2_000;
const ROUNDS = 5;
const ROWS = 20_000;
/** Branches, as pgbench's `-s`: fewer than clients would measure the wait for a row. */
const SCALE = 24;

const events = queue('events', z.object({ n: z.number(), text: z.string() }));
const outbox = postgresOutbox([events]);
const prepared = postgresOutbox([events], { prepare: true });
const text = 'x'.repeat(200);

const middle = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;

type More = (client: pg.PoolClient, n: number) => Promise<unknown>;

/** What a writer's transaction has besides statements of its own. */
const additions: Readonly<Record<string, More>> = {
  'a row of its own': (client, n) =>
    client.query('insert into events_by_hand (body) values ($1)', [JSON.stringify({ n, text })]),
  'an outbox row by hand': (client, n) =>
    client.query('insert into outbox_by_hand (id, topic, key, payload) values ($1, $2, $3, $4)', [
      randomUUID(),
      'events',
      `${n % 100}`,
      JSON.stringify({ n, text }),
    ]),
  'a message': (client, n) => outbox.send(client, events, { n, text }, { key: `${n % 100}` }),
  'a message, prepared': (client, n) => prepared.send(client, events, { n, text }, { key: `${n % 100}` }),
};

/** The least that a transaction does: nearly all of its time is spent on the way to PostgreSQL and back. */
async function twoCheapStatements(client: pg.PoolClient, n: number): Promise<void> {
  await client.query('insert into orders (customer, total) values ($1, $2)', ['ada', 12.5]);
  await client.query('update stock set pieces = pieces - 1 where id = $1', [n % 1_000]);
}

const upTo = (max: number) => 1 + Math.floor(Math.random() * max);

/** The transaction of pgbench, at a scale that gives each client a branch: three updates, a select, an insert. */
async function tpcB(client: pg.PoolClient): Promise<void> {
  const [account, teller, branch] = [upTo(100_000 * SCALE), upTo(10 * SCALE), upTo(SCALE)];
  const delta = upTo(10_000) - 5_000;
  await client.query('update accounts set balance = balance + $1 where id = $2', [delta, account]);
  await client.query('select balance from accounts where id = $1', [account]);
  await client.query('update tellers set balance = balance + $1 where id = $2', [delta, teller]);
  await client.query('update branches set balance = balance + $1 where id = $2', [delta, branch]);
  await client.query(
    'insert into history (teller, branch, account, delta, at) values ($1, $2, $3, $4, current_timestamp)',
    [teller, branch, account, delta],
  );
}

/** Transactions a second. */
async function writeRound(pool: pg.Pool, own: More, more?: More): Promise<number> {
  const until = performance.now() + ROUND_MS;
  let commits = 0;
  const write = async () => {
    const client = await pool.connect();
    while (performance.now() < until) {
      await client.query('begin');
      await own(client, commits);
      await more?.(client, commits);
      await client.query('commit');
      commits++;
    }
    client.release();
  };
  await Promise.all(Array.from({ length: CLIENTS }, write));
  return commits / (ROUND_MS / 1_000);
}

/** Each addition beside a writer that writes nothing more, in the same round. */
async function writerCost(pool: pg.Pool, name: string, own: More): Promise<void> {
  const ratios = new Map<string, number[]>();
  const without: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const bare = await writeRound(pool, own);
    without.push(bare);
    for (const [addition, more] of Object.entries(additions))
      ratios.set(addition, [...(ratios.get(addition) ?? []), (await writeRound(pool, own, more)) / bare]);
    // No relay runs here, and a table that grows costs more from round to round.
    await pool.query('truncate leveret_outbox, events_by_hand, outbox_by_hand, orders, history');
  }
  console.log(`writers: ${middle(without).toFixed(0)} transactions/s, ${name}`);
  for (const [addition, all] of ratios) {
    const range = `${Math.min(...all).toFixed(2)}–${Math.max(...all).toFixed(2)}`;
    console.log(`  with ${addition}: ${middle(all).toFixed(2)} of them (${range})`);
  }
}

async function throughput(pool: pg.Pool, broker: Broker): Promise<void> {
  await pool.query('truncate leveret_outbox');
  for (let n = 0; n < ROWS; n += 5_000) {
    const client = await pool.connect();
    await client.query('begin');
    const bodies = Array.from({ length: 5_000 }, (_, at) => ({ n: n + at, text }));
    await outbox.sendAll(client, events, bodies);
    await client.query('commit');
    client.release();
  }
  await broker.declare(events);
  const startedAt = performance.now();
  const relay = broker.relay(outbox, { db: pool });
  while (relay.stats.sent < ROWS) await new Promise((resolve) => setTimeout(resolve, 5));
  const seconds = (performance.now() - startedAt) / 1_000;
  await relay.close();
  await broker.purge(events);
  console.log(`relay: ${(ROWS / seconds).toFixed(0)} rows/s, alone, in batches of 200`);
}

async function latency(pool: pg.Pool, broker: Broker): Promise<void> {
  let arrived = () => {};
  await broker.consumer(events, () => arrived()).ready;
  const relay = broker.relay(outbox, { db: pool });
  await relay.ready;
  const times: number[] = [];
  for (let n = 0; n < 200; n++) {
    const client = await pool.connect();
    await client.query('begin');
    await outbox.send(client, events, { n, text });
    const handled = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await client.query('commit');
    const committedAt = performance.now();
    client.release();
    outbox.committed();
    await handled;
    times.push(performance.now() - committedAt);
  }
  const sorted = times.toSorted((a, b) => a - b);
  console.log(
    `latency: ${middle(times).toFixed(1)} ms from commit to handler with committed(), p95 ${sorted[190]?.toFixed(1)} ms`,
  );
  await relay.close();
}

const [server, postgres] = await Promise.all([acquireServer(), acquirePostgres()]);
const name = `leveret_bench_${process.pid}`;
const admin = new pg.Pool({ connectionString: postgres.url, max: 1 });
await admin.query(`create database ${name}`);
const connectionString = Object.assign(new URL(postgres.url), { pathname: name }).href;
const pool = new pg.Pool({ connectionString, max: CLIENTS + 2 });
try {
  for (const statement of outbox.migrations()) await pool.query(statement);
  await pool.query('create table orders (id bigserial primary key, customer text, total numeric)');
  await pool.query('create table events_by_hand (id bigserial primary key, body text)');
  await pool.query(
    'create table outbox_by_hand (id uuid primary key, topic text not null, key text, payload jsonb not null, created_at timestamptz not null default now())',
  );
  await pool.query('create table stock (id integer primary key, pieces integer)');
  await pool.query('insert into stock select n, 1000000 from generate_series(0, 999) n');
  for (const [table, perBranch] of Object.entries({ branches: 1, tellers: 10, accounts: 100_000 }))
    await pool.query(
      `create table ${table} as select n as id, 0::bigint as balance, repeat(' ', 84) as filler
       from generate_series(1, ${perBranch * SCALE}) n;
       alter table ${table} add primary key (id)`,
    );
  await pool.query(
    'create table history (teller integer, branch integer, account integer, delta integer, at timestamp)',
  );
  await pool.query('vacuum analyze');
  await using vhost = await createVhost(server);
  await using broker = await Broker.connect(vhost.url);
  await writerCost(pool, 'two cheap statements', twoCheapStatements);
  await writerCost(pool, "pgbench's TPC-B (sort of)", tpcB);
  await throughput(pool, broker);
  await latency(pool, broker);
} finally {
  await pool.end();
  await admin.query(`drop database ${name} with (force)`);
  await admin.end();
  await Promise.all([server.stop(), postgres.stop()]);
}
