import { drizzle } from 'drizzle-orm/node-postgres';
import { Broker, queue } from 'leveret';
import { postgresOutbox } from 'leveret/postgres';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { databaseOf } from '../../src/postgres/database.js';
import { createDatabase, type TestDatabase } from '../helpers/databases/index.js';
import { createVhost } from '../helpers/server/index.js';
import { TcpProxy } from '../helpers/tcp-proxy.js';
import { clients } from './clients.js';

const numbers = queue('numbers', z.object({ key: z.string(), n: z.number() }));
const outbox = postgresOutbox([numbers]);
const poll = { timeout: 20_000 };

let db: TestDatabase;

beforeAll(async () => {
  db = await createDatabase();
  await db.migrate(outbox.migrations(), outbox.migrations());
});

beforeEach(async () => {
  await db.query('delete from leveret_outbox');
});

afterAll(() => db.remove());

const waiting = async () =>
  Number((await db.query<{ n: string }>('select count(*) n from leveret_outbox'))[0]?.n);

/** Commits one row in a transaction of its own. */
async function commit(key: string, n: number): Promise<void> {
  const client = await db.pool.connect();
  await client.query('begin');
  await outbox.send(client, numbers, { key, n }, { key });
  await client.query('commit');
  client.release();
}

/** Commits rows as `send` would, only faster. */
const insert = (count: number, target: string, key: string) =>
  db.query(
    `insert into leveret_outbox (message_id, contract, key, body, envelope)
     select gen_random_uuid()::text, $2, ${key}, convert_to(json_build_object('key', 'a', 'n', n)::text, 'UTF8'),
       json_build_object('exchange', '', 'routingKey', $3::text, 'mandatory', true,
         'contentType', 'application/json', 'timestamp', 1)::text
     from generate_series(1, $1::int) n`,
    [count, `queue:${target}`, target],
  );

/** Ends every connection of a database but the one that asks, as an administrator or a restart does. */
const terminateAll = () =>
  db.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and query not like '%pg_terminate%'`,
  );

describe('a relay', () => {
  it('rejects for good where its table is missing, of another version, or denied', async () => {
    await using empty = await createDatabase();
    await using broker = await Broker.connect('memory:');
    const missing = broker.relay(outbox, { db: empty.pool });
    await expect(missing.ready).rejects.toMatchObject({ name: 'ConfigurationError', code: 'SCHEMA_VERSION' });
    await expect(missing.ready).rejects.toThrow(/leveret_outbox.*'leveret outbox 1'.*migrations\(\)/);
    expect(await missing.closed).toMatchObject({ code: 'SCHEMA_VERSION' });
    expect(broker.health()).toMatchObject({ status: 'degraded', relays: [{ state: 'failed' }] });

    await empty.migrate(outbox.migrations());
    await empty.query("comment on table leveret_outbox is 'leveret outbox 2'");
    const newer = broker.relay(outbox, { db: empty.pool });
    await expect(newer.ready).rejects.toThrow(/'leveret outbox 2'/);
    await empty.query("comment on table leveret_outbox is 'leveret outbox 1'");

    await empty.query('drop role if exists leveret_reader').catch(() => {});
    await empty.query('create role leveret_reader login');
    await empty.query('grant select, insert on leveret_outbox to leveret_reader');
    const url = new URL(empty.url);
    url.username = 'leveret_reader';
    const pool = new pg.Pool({ connectionString: url.href, max: 1 });
    const denied = broker.relay(outbox, { db: pool });
    await expect(denied.ready).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await expect(denied.ready).rejects.toThrow(/UPDATE, DELETE/);
    await pool.end();
    await empty.query('drop owned by leveret_reader');
    await empty.query('drop role leveret_reader');
  });

  it('lets a writer do with no right but to insert', async () => {
    await using broker = await Broker.connect('memory:');
    await db.query('create role leveret_writer login').catch(() => {});
    await db.query('grant insert on leveret_outbox to leveret_writer');
    const url = new URL(db.url);
    url.username = 'leveret_writer';
    const pool = new pg.Pool({ connectionString: url.href, max: 1 });
    const client = await pool.connect();
    await client.query('begin');
    await outbox.send(client, numbers, { key: 'a', n: 1 });
    await outbox.sendAll(client, numbers, [{ key: 'a', n: 2 }]);
    await client.query('commit');
    client.release();
    await pool.end();
    expect(await waiting()).toBe(2);
    await db.query('drop owned by leveret_writer');
    await db.query('drop role leveret_writer');
    await broker.close();
  });

  it('sends the rows of a key in order, beside other relays', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using second = await Broker.connect(vhost.url);
    const got: { key: string; n: number }[] = [];
    await broker.consumer(numbers, ({ body }) => got.push(body), { prefetch: 100 }).ready;
    const relays = [broker, second, broker].map((it) =>
      it.relay(outbox, { db: db.pool, pollMs: 50, batch: 20 }),
    );
    await Promise.all(relays.map(({ ready }) => ready));
    const keys = ['a', 'b', 'c', 'd', 'e'];
    await Promise.all(
      keys.map(async (key) => {
        for (let n = 0; n < 60; n++) await commit(key, n);
      }),
    );
    await expect.poll(() => got.length, poll).toBe(300);
    for (const key of keys)
      expect(got.filter((it) => it.key === key).map(({ n }) => n)).toEqual(
        Array.from({ length: 60 }, (_, n) => n),
      );
    expect(relays.reduce((sum, { stats }) => sum + stats.sent, 0)).toBe(300);
  });

  it('passes over no row whose transaction was slow', async () => {
    await using broker = await Broker.connect('memory:');
    const got: number[] = [];
    broker.consumer(numbers, ({ body }) => got.push(body.n));
    broker.relay(outbox, { db: db.pool, pollMs: 50 });
    const slow = await db.pool.connect();
    await slow.query('begin');
    await outbox.send(slow, numbers, { key: 'a', n: 1 });
    await commit('b', 2);
    await expect.poll(() => got).toEqual([2]);
    await slow.query('commit');
    slow.release();
    await expect.poll(() => got).toEqual([2, 1]);
  });

  it('goes on after its connections were ended, though no pool has a listener for that', async () => {
    await using broker = await Broker.connect('memory:');
    const got = new Set<number>();
    broker.consumer(numbers, ({ body }) => got.add(body.n));
    const [first, second] = db.pools(2, { max: 2 }) as [pg.Pool, pg.Pool];
    const relays = [first, drizzle(second)].map((it) => broker.relay(outbox, { db: it, pollMs: 50 }));
    await Promise.all(relays.map(({ ready }) => ready));
    for (let round = 0; round < 5; round++) {
      await db.query(`insert into leveret_outbox (message_id, contract, body, envelope)
        select 'm' || ${round} || '-' || n, 'queue:numbers', convert_to(json_build_object('key', 'a', 'n', n + ${round * 100})::text, 'UTF8'),
          '{"exchange":"","routingKey":"numbers","mandatory":true,"contentType":"application/json","timestamp":1}'
        from generate_series(0, 99) n`);
      await terminateAll();
    }
    await expect.poll(() => got.size, poll).toBe(500);
    await expect.poll(waiting, poll).toBe(0);
    for (const relay of relays) expect(await relay.close()).toEqual({ clean: true });
  });

  it('holds no transaction while RabbitMQ is away, and sends when it is back', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    const got = new Set<number>();
    await broker.consumer(numbers, ({ body }) => got.add(body.n)).ready;
    const relay = broker.relay(outbox, { db: db.pool, pollMs: 50 });
    await relay.ready;
    await proxy.refuse(true);
    proxy.cutAll();
    await expect.poll(() => broker.state.status).toBe('reconnecting');
    for (let n = 0; n < 20; n++) await commit('a', n);
    await expect.poll(() => relay.stats.waiting).toBe(20);
    const open = await db.query(
      "select query from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'",
    );
    expect(open).toEqual([]);
    await proxy.refuse(false);
    await expect.poll(() => got.size, poll).toBe(20);
    await expect.poll(waiting, poll).toBe(0);
  });

  it('gives its batch up at the deadline of close, and sends nothing more', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    await broker.declare(numbers);
    const relay = broker.relay(outbox, { db: db.pool, pollMs: 50 });
    await commit('a', 0);
    await expect.poll(() => relay.stats.sent).toBe(1);
    await expect.poll(waiting).toBe(0);
    proxy.blackhole('to-client');
    await commit('a', 1);
    await commit('a', 2);
    await expect
      .poll(async () =>
        db.query(
          "select 1 from pg_stat_activity where datname = current_database() and state like 'idle in tr%'",
        ),
      )
      .toHaveLength(1);
    const closing = relay.close({ timeoutMs: 100 });
    expect(relay.close()).toBe(closing);
    expect(await closing).toEqual({ clean: false });
    expect(await relay.closed).toBeUndefined();
    proxy.blackhole(false);
    await expect.poll(async () => (await broker.stats(numbers)).messages).toBeGreaterThanOrEqual(1);
    expect(await waiting()).toBe(2);
    expect((await broker.stats(numbers)).messages).toBeLessThanOrEqual(2);
    expect(
      await db.query(
        "select 1 from pg_stat_activity where datname = current_database() and state like 'idle in tr%'",
      ),
    ).toEqual([]);
  });

  it('tries a row that cannot be routed again, tells of it, and discards nothing else', async () => {
    await using broker = await Broker.connect('memory:');
    const missing = queue('missing', z.object({ n: z.number() }), { declare: false });
    const both = postgresOutbox([numbers, missing]);
    const told: { attempts: number }[] = [];
    broker.on('outbox-stuck', (event) => told.push(event));
    broker.consumer(numbers, () => {});
    const relay = broker.relay(both, { db: db.pool, pollMs: 50 });
    const client = await db.pool.connect();
    await client.query('begin');
    await both.send(client, missing, { n: 1 }, { key: 'secret-key', messageId: 'first' });
    await both.send(client, numbers, { key: 'x', n: 2 }, { key: 'secret-key', messageId: 'second' });
    await client.query('commit');
    client.release();
    await expect.poll(() => told.length, poll).toBeGreaterThanOrEqual(2);
    expect(told.map(({ attempts }) => attempts).slice(0, 2)).toEqual([1, 2]);
    expect(JSON.stringify(told)).not.toContain('secret-key');
    const listed = await relay.stuck();
    expect(listed).toMatchObject([
      { messageId: 'first', contract: 'queue:missing', error: { code: 'UNROUTABLE' } },
    ]);
    expect(listed[0]?.createdAt).toBeInstanceOf(Date);
    const [second] = await db.query<{ id: string }>(
      "select id from leveret_outbox where message_id = 'second'",
    );
    expect(await relay.discard(second?.id ?? '')).toBe(false);
    expect(await relay.discard(listed[0]?.id ?? '')).toBe(true);
    await expect.poll(waiting, poll).toBe(0);
  });

  it('reads few rows for each that it sends, however many wait', async () => {
    await using broker = await Broker.connect('memory:');
    await db.query('select pg_stat_reset()');
    await insert(2_000, 'numbers', "'k'");
    let got = 0;
    broker.consumer(numbers, () => got++);
    const relay = broker.relay(outbox, { db: db.pool, pollMs: 50 });
    await expect.poll(() => relay.stats.sent, { timeout: 60_000 }).toBe(2_000);
    await relay.close();
    const read = async () => {
      const [row] = await db.query<{ rows: string; removed: string }>(
        `select seq_tup_read + idx_tup_fetch as rows, n_tup_del as removed from pg_stat_user_tables
         where relname = 'leveret_outbox'`,
      );
      return Number(row?.removed) >= 2_000 ? Number(row?.rows) : undefined;
    };
    await expect.poll(read, poll).toBeLessThan(2_000 * 100);
  }, 90_000);

  it.each([1, 8])('does not let rows that fail keep back the others, in batches of %i', async (batch) => {
    await using broker = await Broker.connect('memory:');
    const missing = queue('missing', z.object({ n: z.number() }), { declare: false });
    const both = postgresOutbox([numbers, missing]);
    broker.on('outbox-stuck', () => {});
    await insert(2_000, 'missing', 'null');
    await db.query("update leveret_outbox set attempts = 20, next_at = clock_timestamp() - interval '1 s'");
    await insert(10, 'numbers', 'null');
    const got = new Set<number>();
    broker.consumer(numbers, ({ body }) => got.add(body.n));
    const relay = broker.relay(both, { db: db.pool, pollMs: 50, batch });
    await expect.poll(() => got.size, poll).toBe(10);
    const tried = async () => (await db.query('select 1 from leveret_outbox where attempts > 20')).length;
    expect(await tried()).toBeLessThan(200);
    // Nor the other way round.
    await expect.poll(tried, poll).toBeGreaterThan(20);
    await relay.close();
  });

  it('sends a row again although the clock of the database was put back', async () => {
    await using broker = await Broker.connect('memory:');
    await insert(1, 'numbers', "'k'");
    await db.query("update leveret_outbox set attempts = 1, next_at = clock_timestamp() + interval '1 hour'");
    broker.consumer(numbers, () => {});
    const relay = broker.relay(outbox, { db: db.pool, pollMs: 50 });
    await expect.poll(() => relay.stats.sent, poll).toBe(1);
  });

  it('tells that its database does not answer, and goes on when it does', async () => {
    await using proxy = await TcpProxy.listen(db.url);
    await using broker = await Broker.connect('memory:');
    const pool = new pg.Pool({ connectionString: proxy.via(db.url), max: 2 });
    broker.consumer(numbers, () => {});
    const relay = broker.relay(outbox, { db: pool, pollMs: 50 });
    await relay.ready;
    proxy.blackhole(true);
    const relays = () => broker.health().relays;
    await expect
      .poll(relays, poll)
      .toMatchObject([{ state: 'waiting', error: expect.stringMatching(/has not answered for \d+ s/) }]);
    expect(broker.health().status).toBe('degraded');
    proxy.blackhole(false);
    await commit('a', 1);
    await expect.poll(() => relay.stats.sent, poll).toBe(1);
    await expect.poll(relays, poll).toMatchObject([{ state: 'running', error: undefined }]);
    await relay.close();
    await pool.end();
  }, 40_000);

  it('holds no connection after its close, also to a database that does not answer', async () => {
    await using proxy = await TcpProxy.listen(db.url);
    await using broker = await Broker.connect('memory:');
    const pool = new pg.Pool({ connectionString: proxy.via(db.url), max: 2 });
    await Promise.all([1, 2].map(() => pool.query('select pg_sleep(0.1)')));
    const relay = broker.relay(outbox, { db: pool, pollMs: 50 });
    await relay.ready;
    proxy.blackhole(true);
    // Until both of its loops wait for an answer.
    await expect.poll(() => pool.totalCount - pool.idleCount, poll).toBe(2);
    expect(await relay.close({ timeoutMs: 100 })).toEqual({ clean: false });
    expect(pool.totalCount).toBe(0);
    await pool.end();
  });

  it.each(['pg', 'postgres.js'])('gives up a connection of %s that does not answer', async (name) => {
    await using proxy = await TcpProxy.listen(db.url);
    const client = await clients[name]?.(proxy.via(db.url));
    const database = databaseOf('test', client?.db, 200);
    await database.transaction(({ run }) => run('select 1 as one', []));
    const waiting = database.transaction(async ({ run }) => {
      proxy.freeze();
      await run('select 2 as two', []);
    });
    await expect(waiting).rejects.toThrow('PostgreSQL did not answer within 0.2 s');
    proxy.cutAll();
    await expect.poll(() => database.transaction(async () => 'again').catch(() => {}), poll).toBe('again');
    await client?.close();
  });

  it('warns of a relay that has ended, and of a database that is away', async () => {
    const codes: unknown[] = [];
    const listener = (warning: Error & { code?: string }) => codes.push(warning.code);
    process.on('warning', listener);
    await using proxy = await TcpProxy.listen(db.url);
    await using broker = await Broker.connect('memory:');
    broker.relay(postgresOutbox([numbers], { table: 'missing' }), { db: db.pool });
    const pool = new pg.Pool({ connectionString: proxy.via(db.url), max: 2 });
    const relay = broker.relay(outbox, { db: pool, pollMs: 50 });
    await relay.ready;
    await proxy.refuse(true);
    proxy.cutAll();
    await expect.poll(() => codes.toSorted(), poll).toEqual(['LEVERET_DATABASE', 'LEVERET_RELAY_FAILED']);
    process.off('warning', listener);
    await relay.close();
    await pool.end();
  });

  it('sends what a producer would have sent', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const got: object[] = [];
    await broker.consumer(numbers, ({ id, body, headers, correlationId, timestamp }) => {
      const ageMs = Date.now() - (timestamp?.getTime() ?? 0);
      got.push({ id, body, headers: { ...headers }, correlationId, isNew: ageMs < 60_000 });
    }).ready;
    const body = { key: 'a', n: 1 };
    const options = {
      messageId: 'one',
      correlationId: 'c',
      priority: 3,
      ttlMs: 60_000,
      headers: { text: 'ü', list: [1, true, null], bytes: new Uint8Array([0, 255]), table: { a: 1.5 } },
    };
    await broker.producer(numbers).send(body, options);
    broker.relay(outbox, { db: db.pool, pollMs: 50 });
    const client = await db.pool.connect();
    await client.query('begin');
    await outbox.send(client, numbers, body, options);
    await client.query('commit');
    client.release();
    await expect.poll(() => got, poll).toHaveLength(2);
    expect(got[1]).toEqual(got[0]);
    expect(got[0]).toMatchObject({ id: 'one', correlationId: 'c', isNew: true });
  });

  it('counts a delay from the call of send', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const got: { n: number; afterMs: number }[] = [];
    let sentAt = 0;
    await broker.consumer(numbers, ({ body }) => got.push({ n: body.n, afterMs: performance.now() - sentAt }))
      .ready;
    const client = await db.pool.connect();
    await client.query('begin');
    sentAt = performance.now();
    await outbox.send(client, numbers, { key: 'a', n: 1 }, { delayMs: 200 });
    await outbox.send(client, numbers, { key: 'a', n: 2 }, { deliverAt: new Date(Date.now() + 3_000) });
    await client.query('commit');
    client.release();
    // The relay comes when the first is due already.
    await expect.poll(() => performance.now() - sentAt).toBeGreaterThan(300);
    broker.relay(outbox, { db: db.pool, pollMs: 50 });
    await expect.poll(() => got, poll).toHaveLength(2);
    expect(got.map(({ n }) => n)).toEqual([1, 2]);
    expect(got[0]?.afterMs).toBeLessThan(2_900);
    expect(got[1]?.afterMs).toBeGreaterThan(2_900);
    expect(got[1]?.afterMs).toBeLessThan(6_000);
  });

  it('waits for its database to start', async () => {
    await using proxy = await TcpProxy.listen(db.url);
    await proxy.refuse(true);
    await using broker = await Broker.connect('memory:');
    const pool = new pg.Pool({ connectionString: proxy.via(db.url), max: 2 });
    const relay = broker.relay(outbox, { db: pool, pollMs: 50 });
    await expect
      .poll(() => broker.health().relays)
      .toMatchObject([{ state: 'starting', error: expect.stringContaining('ECONNREFUSED') }]);
    await proxy.refuse(false);
    await relay.ready;
    expect(broker.health().relays).toMatchObject([{ state: 'running', error: undefined }]);
    await relay.close();
    await pool.end();
  });

  it('is degraded while a row waits for a minute, and while one is stuck', async () => {
    await using broker = await Broker.connect('memory:');
    const others = queue('others', z.object({ n: z.number() }));
    await insert(1, 'others', 'null');
    await db.query("update leveret_outbox set created_at = clock_timestamp() - interval '61 s'");
    const relay = broker.relay(outbox, { db: db.pool, pollMs: 50 });
    await expect
      .poll(() => broker.health(), poll)
      .toMatchObject({ status: 'degraded', relays: [{ waiting: 1, stuck: 1 }] });
    expect(relay.stats.oldestMs).toBeGreaterThan(60_000);
    expect(await relay.stuck()).toMatchObject([{ error: { code: 'UNKNOWN_CONTRACT' }, attempts: 0 }]);
    // As in a rolling deploy: the next version of the program knows it.
    broker.consumer(others, () => {});
    broker.relay(postgresOutbox([numbers, others]), { db: db.pool, pollMs: 50 });
    await expect.poll(waiting, poll).toBe(0);
    await expect.poll(() => broker.health().status, poll).toBe('up');
    expect(await relay.stuck()).toEqual([]);
  });

  it('sends a row that was stuck when its queue is there, and lists it no more', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const late = queue('late', z.object({ n: z.number() }), { declare: false });
    broker.on('outbox-stuck', () => {});
    const relay = broker.relay(postgresOutbox([late]), { db: db.pool, pollMs: 50 });
    await insert(3, 'late', "'k'");
    await expect.poll(() => relay.stuck(), poll).toMatchObject([{ error: { code: 'UNROUTABLE' } }]);
    await broker.declare(queue('late', z.object({ n: z.number() })));
    await expect.poll(() => relay.stats.sent, poll).toBe(3);
    expect(await relay.stuck()).toEqual([]);
    await expect.poll(waiting, poll).toBe(0);
  });

  it('does not let a full queue keep back the others', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const full = queue('full', z.object({ n: z.number() }), { maxLength: 5, overflow: 'reject-publish' });
    const relay = broker.relay(postgresOutbox([numbers, full]), { db: db.pool, pollMs: 50, batch: 20 });
    await insert(200, 'full', "'full'");
    await insert(200, 'full', 'null');
    await insert(100, 'numbers', '(n % 5)::text');
    const got: number[] = [];
    await broker.consumer(numbers, ({ body }) => got.push(body.n)).ready;
    await expect.poll(() => new Set(got).size, poll).toBe(100);
    expect(await waiting()).toBeGreaterThan(300);
    broker.consumer(full, () => {});
    await expect.poll(waiting, { timeout: 60_000 }).toBe(0);
    await relay.close();
  }, 90_000);
});
