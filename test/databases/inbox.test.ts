import { Broker, queue } from 'leveret';
import { postgresInbox } from 'leveret/postgres';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createDatabase, type TestDatabase } from '../helpers/databases/index.js';
import { gate } from '../helpers/gate.js';
import { TcpProxy } from '../helpers/tcp-proxy.js';

const mails = queue('mails', z.object({ to: z.string() }), { retry: { initialDelayMs: 1 } });
const poll = { timeout: 20_000 };

let db: TestDatabase;

beforeAll(async () => {
  db = await createDatabase();
  await db.migrate(postgresInbox(db.pool).migrations(), postgresInbox(db.pool).migrations());
  await db.query('create table effects (what text)');
});

beforeEach(async () => {
  await db.query('delete from effects');
  await db.query('delete from leveret_inbox');
});

afterAll(() => db.remove());

const effects = async () =>
  (await db.query<{ what: string }>('select what from effects order by what')).map(({ what }) => what);

describe('an inbox', () => {
  it('lets a second run of a message wait for the first, and then skip it', async () => {
    await using broker = await Broker.connect('memory:');
    using working = gate();
    let runs = 0;
    const consumer = broker.consumer(
      mails,
      async ({ body }, client) => {
        runs++;
        await client.query('insert into effects values ($1)', [body.to]);
        await working.opened;
      },
      { inbox: postgresInbox(db.pool), concurrency: 2 },
    );
    await consumer.ready;
    const producer = broker.producer(mails);
    await producer.send({ to: 'ada' }, { messageId: 'one' });
    await producer.send({ to: 'ada' }, { messageId: 'one' });
    await expect
      .poll(() => db.query("select 1 from pg_stat_activity where wait_event = 'transactionid'"), poll)
      .toHaveLength(1);
    expect(runs).toBe(1);
    working.open();
    await expect.poll(() => consumer.stats, poll).toMatchObject({ acked: 2, duplicates: 1 });
    expect({ runs, effects: await effects() }).toEqual({ runs: 1, effects: ['ada'] });
  });

  it('frees a message whose run does nothing for too long, and undoes that run', async () => {
    await using broker = await Broker.connect('memory:');
    using first = gate();
    const errors: unknown[] = [];
    broker.on('handler-error', ({ error }) => errors.push(error));
    let runs = 0;
    const consumer = broker.consumer(
      mails,
      async ({ body }, client) => {
        const run = ++runs;
        await client.query('insert into effects values ($1)', [`${body.to} ${run}`]);
        if (run === 1) await first.opened;
      },
      { inbox: postgresInbox(db.pool, { maxIdleMs: 1_000 }), concurrency: 2 },
    );
    const producer = broker.producer(mails);
    await producer.send({ to: 'ada' }, { messageId: 'one' });
    await producer.send({ to: 'ada' }, { messageId: 'one' });
    await expect.poll(effects, poll).toEqual(['ada 2']);
    first.open();
    await expect.poll(() => consumer.stats, poll).toMatchObject({ acked: 2, retried: 1, duplicates: 1 });
    expect(await effects()).toEqual(['ada 2']);
    expect(errors).toHaveLength(1);
  });

  it('lets a run that took too long write nothing more', async () => {
    await using broker = await Broker.connect('memory:');
    using late = gate();
    let zombie: unknown;
    const consumer = broker.consumer(
      mails,
      async ({ attempt }, client) => {
        await client.query('insert into effects values ($1)', [`attempt ${attempt}`]);
        if (attempt > 1) return;
        await late.opened;
        zombie = await client.query("insert into effects values ('zombie')").catch((error: unknown) => error);
      },
      { inbox: postgresInbox(db.pool), handlerTimeoutMs: 2_000 },
    );
    await broker.producer(mails).send({ to: 'ada' });
    await expect.poll(effects, poll).toEqual(['attempt 2']);
    late.open();
    await expect.poll(() => zombie).toBeInstanceOf(Error);
    expect(await effects()).toEqual(['attempt 2']);
    expect(consumer.stats).toMatchObject({ acked: 1, retried: 1 });
  });

  it('rolls back before another attempt when the handler asks for one after ack()', async () => {
    await using broker = await Broker.connect('memory:');
    const verdicts: boolean[] = [];
    broker.consumer(
      mails,
      async (message, client) => {
        await client.query('insert into effects values ($1)', [`attempt ${message.attempt}`]);
        if (message.attempt > 1) return;
        verdicts.push(message.ack(), message.retry());
        throw new Error('after all');
      },
      { inbox: postgresInbox(db.pool) },
    );
    await broker.producer(mails).send({ to: 'ada' });
    await expect.poll(effects, poll).toEqual(['attempt 2']);
    expect(verdicts).toEqual([true, false]);
  });

  it('keeps a message in hand while the database is away, without an attempt', async () => {
    await using proxy = await TcpProxy.listen(db.url);
    const pool = new pg.Pool({ connectionString: proxy.via(db.url), max: 2 });
    await using broker = await Broker.connect('memory:');
    const attempts: number[] = [];
    const consumer = broker.consumer(
      mails,
      async ({ attempt }, client) => {
        await client.query("insert into effects values ('done')");
        attempts.push(attempt);
      },
      { inbox: postgresInbox(pool) },
    );
    await consumer.ready;
    await proxy.refuse(true);
    proxy.cutAll();
    await broker.producer(mails).send({ to: 'ada' });
    await expect
      .poll(() => broker.health())
      .toMatchObject({ status: 'degraded', consumers: [{ inFlight: 1 }] });
    expect(broker.health().consumers[0]?.error).toMatch(/ECONNREFUSED|ECONNRESET|terminated/);
    await proxy.refuse(false);
    await expect.poll(() => consumer.stats.acked, poll).toBe(1);
    expect({ attempts, effects: await effects() }).toEqual({ attempts: [1], effects: ['done'] });
    expect(broker.health().status).toBe('up');
    await consumer.close();
    await pool.end();
  });

  it('logs that the database is away for long, and that it is back', async () => {
    await using proxy = await TcpProxy.listen(db.url);
    await proxy.refuse(true);
    const logged: string[] = [];
    const log = (_details: object, text: string) => logged.push(text);
    const logger = { debug() {}, info: log, warn: log, error: log };
    await using broker = await Broker.connect('memory:', { logger });
    const pool = new pg.Pool({ connectionString: proxy.via(db.url), max: 2 });
    const consumer = broker.consumer(mails, () => {}, { inbox: postgresInbox(pool) });
    const about = () => logged.filter((text) => text.includes('database of its inbox'));
    await expect.poll(about, poll).toEqual([expect.stringMatching(/cannot reach.*ECONNREFUSED/)]);
    await proxy.refuse(false);
    await consumer.ready;
    expect(about()[1]).toContain('reaches the database of its inbox again');
    await consumer.close();
    await pool.end();
  }, 40_000);

  it('survives that its connection is ended in the middle of a run', async () => {
    await using broker = await Broker.connect('memory:');
    broker.consumer(
      mails,
      async ({ attempt }, client) => {
        await client.query('insert into effects values ($1)', [`attempt ${attempt}`]);
        if (attempt === 1)
          await db.query(
            "select pg_terminate_backend(pid) from pg_stat_activity where query like 'insert into eff%'",
          );
      },
      { inbox: postgresInbox(db.pool) },
    );
    await broker.producer(mails).send({ to: 'ada' });
    await expect.poll(effects, poll).toEqual(['attempt 2']);
  });

  it('retries a run whose commit fails, with nothing of it left', async () => {
    await using broker = await Broker.connect('memory:');
    const errors: unknown[] = [];
    broker.on('handler-error', ({ error }) => errors.push(error));
    await db.query('create table accounts (id integer primary key)');
    await db.query(
      'create table entries (account integer references accounts deferrable initially deferred)',
    );
    const consumer = broker.consumer(
      mails,
      async ({ attempt }, client) => {
        await client.query('insert into effects values ($1)', [`attempt ${attempt}`]);
        if (attempt === 1) await client.query('insert into entries values (1)');
      },
      { inbox: postgresInbox(db.pool) },
    );
    await broker.producer(mails).send({ to: 'ada' });
    await expect.poll(() => consumer.stats, poll).toMatchObject({ acked: 1, retried: 1 });
    expect(await effects()).toEqual(['attempt 2']);
    expect(errors).toMatchObject([{ code: '23503' }]);
  });

  it.each(['serializable', 'repeatable read'])(
    'handles each message once where %s is the default',
    async (level) => {
      await using broker = await Broker.connect('memory:');
      const pool = new pg.Pool({
        connectionString: db.url,
        max: 4,
        options: `-c default_transaction_isolation=${level.replace(' ', '\\ ')}`,
      });
      broker.on('handler-error', () => {});
      const consumer = broker.consumer(
        mails,
        async ({ body }, client) => {
          const { rows } = await client.query('select count(*)::int as n from effects');
          await client.query('insert into effects values ($1)', [`${body.to} ${rows[0].n < 0}`]);
        },
        { inbox: postgresInbox(pool), concurrency: 4 },
      );
      await consumer.ready;
      const producer = broker.producer(mails);
      const ids = Array.from({ length: 10 }, (_, n) => `mail ${n}`);
      await Promise.all([...ids, ...ids].map((to) => producer.send({ to }, { messageId: to })));
      await expect
        .poll(() => consumer.stats, { timeout: 30_000 })
        .toMatchObject({ duplicates: 10, inFlight: 0, waiting: 0 });
      expect(await effects()).toEqual(ids.map((to) => `${to} false`));
      await consumer.close();
      await pool.end();
    },
    40_000,
  );

  it('does with one connection for more messages than that', async () => {
    await using broker = await Broker.connect('memory:');
    const pool = new pg.Pool({ connectionString: db.url, max: 1 });
    const consumer = broker.consumer(
      mails,
      ({ body }, client) => client.query('insert into effects values ($1)', [body.to]),
      { inbox: postgresInbox(pool, { retentionMs: 1_000 }), concurrency: 10 },
    );
    const producer = broker.producer(mails);
    await producer.sendAll(Array.from({ length: 50 }, (_, n) => ({ to: `${n}` })));
    await expect.poll(() => consumer.stats.acked, poll).toBe(50);
    expect(await effects()).toHaveLength(50);
    await consumer.close();
    await pool.end();
  });

  it('keeps messages in hand while its table is gone', async () => {
    await using broker = await Broker.connect('memory:');
    const attempts: number[] = [];
    const consumer = broker.consumer(mails, ({ attempt }) => attempts.push(attempt), {
      inbox: postgresInbox(db.pool),
    });
    await consumer.ready;
    await db.query('alter table leveret_inbox rename to gone');
    await broker.producer(mails).send({ to: 'ada' });
    await expect
      .poll(() => broker.health(), poll)
      .toMatchObject({
        status: 'degraded',
        consumers: [{ error: expect.stringContaining('does not exist') }],
      });
    await db.query('alter table gone rename to leveret_inbox');
    await expect.poll(() => consumer.stats.acked, poll).toBe(1);
    expect(attempts).toEqual([1]);
  });

  it('keeps ids of every kind apart', async () => {
    await using broker = await Broker.connect('memory:');
    const keys = [
      "o'hara",
      '"',
      '\\',
      '$1',
      '%',
      '{a,b}',
      'NULL',
      ' ',
      'ä',
      'a\u0308',
      '💚'.repeat(250),
      'x'.repeat(1_000),
    ];
    const consumer = broker.consumer(
      mails,
      ({ body }, client) => client.query('insert into effects values ($1)', [body.to]),
      { inbox: postgresInbox(db.pool), idempotencyKey: ({ body }) => body.to },
    );
    for (const to of [...keys, ...keys]) await broker.producer(mails).send({ to });
    await expect.poll(() => consumer.stats, poll).toMatchObject({ duplicates: keys.length, inFlight: 0 });
    expect((await effects()).toSorted()).toEqual(keys.toSorted());
  });

  it('treats a failing idempotencyKey as a failing handler', async () => {
    await using broker = await Broker.connect('memory:');
    const errors: unknown[] = [];
    broker.on('handler-error', ({ error }) => errors.push(error));
    const consumer = broker.consumer(mails, () => {}, {
      inbox: postgresInbox(db.pool),
      idempotencyKey: ({ body, attempt }) => {
        if (attempt === 1) throw new Error('no key');
        return body.to;
      },
    });
    await broker.producer(mails).send({ to: 'ada' });
    await expect.poll(() => consumer.stats, poll).toMatchObject({ acked: 1, retried: 1 });
    expect(errors).toMatchObject([{ message: 'no key' }]);
  });

  it('does not let a consumer start without its table', async () => {
    await using broker = await Broker.connect('memory:');
    const consumer = broker.consumer(mails, () => {}, {
      inbox: postgresInbox(db.pool, { table: 'missing' }),
    });
    await expect(consumer.ready).rejects.toMatchObject({ code: 'SCHEMA_VERSION' });
    expect(await consumer.closed).toMatchObject({ code: 'SCHEMA_VERSION' });
  });

  it('removes what is older than it is kept, and nothing younger', async () => {
    await using broker = await Broker.connect('memory:');
    await db.query(`insert into leveret_inbox (queue, id, at)
      select 'old', n::text, clock_timestamp() - interval '1 hour' from generate_series(1, 2500) n`);
    await db.query(
      "insert into leveret_inbox (queue, id, at) values ('young', '1', clock_timestamp() + interval '1 minute')",
    );
    broker.consumer(mails, () => {}, { inbox: postgresInbox(db.pool, { retentionMs: 1_000 }) });
    await expect.poll(() => db.query('select queue from leveret_inbox'), poll).toEqual([{ queue: 'young' }]);
  });

  it.each([
    ['an exclusive queue', { type: 'classic', exclusive: true, durable: false } as const],
    ['a stream', { type: 'stream', retry: false, deadLetter: false } as const],
  ])('is refused with %s', async (_what, options) => {
    await using broker = await Broker.connect('memory:');
    const contract = queue('other', z.object({ to: z.string() }), options as object);
    expect(() => broker.consumer(contract, () => {}, { inbox: postgresInbox(db.pool) })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', option: 'inbox' }),
    );
  });

  it('refuses an idle limit beyond the time of the handler', async () => {
    await using broker = await Broker.connect('memory:');
    const inbox = postgresInbox(db.pool, { maxIdleMs: 5_000 });
    expect(() => broker.consumer(mails, () => {}, { inbox, handlerTimeoutMs: 4_999 })).toThrow(
      /maxIdleMs.*4999/,
    );
    expect(() => postgresInbox(db.pool, { maxIdleMs: 999 })).toThrow(/maxIdleMs/);
  });
});
