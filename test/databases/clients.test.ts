import { Broker, exchange, queue } from 'leveret';
import { postgresInbox, postgresOutbox, postgresStore } from 'leveret/postgres';
import { testStore } from 'leveret/testing';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createDatabase, type TestDatabase } from '../helpers/databases/index.js';
import { clients } from './clients.js';

const emails = queue('emails', z.object({ to: z.string() }));
const orders = exchange('orders', z.object({ id: z.string() }), { type: 'topic' });
const bytes = queue('bytes', z.instanceof(Uint8Array), { codec: 'bytes' });

const outbox = postgresOutbox([emails, orders, bytes]);

/** The clients whose statements can be given a name, or be prepared. */
const canPrepare = ['pg', 'postgres.js'];

let db: TestDatabase;

beforeAll(async () => {
  db = await createDatabase();
  await db.migrate(
    outbox.migrations(),
    postgresInbox(db.pool).migrations(),
    postgresStore(db.pool).migrations(),
  );
  await db.query('create table effects (what text)');
});

afterAll(() => db.remove());

const rows = () => db.query<{ message_id: string }>('select message_id, key from leveret_outbox order by id');

describe.each(Object.keys(clients))('with %s', (name) => {
  const make = clients[name];
  if (!make) throw new Error(`no client ${name}`);

  it('an outbox inserts with the transaction, and not after a rollback', async () => {
    const client = await make(db.url);
    await client.transaction(async (tx) => {
      await outbox.send(tx, emails, { to: "o'hara ? $1" }, { messageId: 'one', key: 'k' });
      await outbox.sendAll(tx, emails, [{ to: '"a\\"' }, { to: 'b' }], (_, index) => ({
        messageId: `all ${index}`,
      }));
      await client.run(tx, "insert into effects values ('committed')");
    });
    const rolledBack = client.transaction(async (tx) => {
      await outbox.send(tx, emails, { to: 'lost' });
      await client.run(tx, "insert into effects values ('rolled back')");
      throw new Error('on purpose');
    });
    await expect(rolledBack).rejects.toThrow('on purpose');
    expect(await rows()).toEqual([
      { message_id: 'one', key: 'k' },
      { message_id: 'all 0', key: null },
      { message_id: 'all 1', key: null },
    ]);
    await db.query('delete from leveret_outbox');
    await client.close();
  });

  it('an outbox keeps a transaction usable after a refused body, and forgets what a savepoint undoes', async () => {
    const client = await make(db.url);
    await client.transaction(async (tx) => {
      await expect(outbox.send(tx, emails, { to: 1 as unknown as string })).rejects.toMatchObject({
        code: 'INVALID_BODY',
      });
      await outbox.send(tx, emails, { to: 'kept' }, { messageId: 'kept' });
      const undone = client.savepoint?.(tx, async (nested) => {
        await outbox.send(nested, emails, { to: 'undone' });
        throw new Error('undone');
      });
      if (undone) await expect(undone).rejects.toThrow('undone');
    });
    expect((await rows()).map((row) => row.message_id)).toEqual(['kept']);
    await db.query('delete from leveret_outbox');
    await client.close();
  });

  it('an outbox can keep its statement prepared, where the client can', async () => {
    const client = await make(db.url);
    const preparing = postgresOutbox([emails], { prepare: true });
    const kept = 'create table kept as select statement from pg_prepared_statements';
    await client.transaction(async (tx) => {
      await preparing.send(tx, emails, { to: 'a' }, { messageId: 'now' });
      await preparing.send(tx, emails, { to: 'b' }, { messageId: 'now, again' });
      await preparing.send(tx, emails, { to: 'c' }, { messageId: 'later', delayMs: 60_000 });
      await client.run(tx, kept);
    });
    const statements = await db.query(
      `select from kept where statement like 'insert into "leveret_outbox"%'`,
    );
    expect(statements).toHaveLength(canPrepare.includes(name) ? 2 : 0);
    expect((await rows()).map((row) => row.message_id)).toEqual(['now', 'now, again', 'later']);
    await db.query('drop table kept');
    await db.query('delete from leveret_outbox');
    await client.close();
  });

  it('an outbox refuses what is no transaction, before any SQL', async () => {
    const client = await make(db.url);
    for (const root of client.roots)
      await expect(outbox.send(root, emails, { to: 'a' })).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        option: 'tx',
      });
    expect(await rows()).toEqual([]);
    await client.close();
  });

  it('a relay sends what was committed, every type of it, over one connection', async () => {
    const client = await make(db.url);
    await using broker = await Broker.connect('memory:');
    const got: unknown[] = [];
    broker.consumer(bytes, ({ body, headers }) => got.push([...body], { ...headers }));
    const relay = broker.relay(outbox, { db: client.db, pollMs: 50 });
    await relay.ready;
    await client.transaction(async (tx) => {
      const headers = {
        text: 'ü\0',
        n: 1.5,
        list: [true, null, new Uint8Array([1])],
        table: { a: { b: 1 } },
      };
      await outbox.send(tx, bytes, new Uint8Array([0, 255]), { headers });
    });
    await expect.poll(() => got).toHaveLength(2);
    const headers = { text: 'ü\0', n: 1.5, list: [true, null, Buffer.from([1])], table: { a: { b: 1 } } };
    expect(got).toEqual([[0, 255], headers]);
    await expect.poll(rows).toEqual([]);
    expect(await relay.stuck()).toEqual([]);
    expect(await relay.discard('1')).toBe(false);
    expect(await relay.close()).toEqual({ clean: true });
    await client.close();
  });

  it('an inbox commits the effect of a message once, and rolls back that of a failed run', async () => {
    const client = await make(db.url);
    await db.query('truncate effects, leveret_inbox');
    await using broker = await Broker.connect('memory:');
    const failing = queue('failing', z.object({ id: z.string() }), { retry: { initialDelayMs: 1 } });
    const consumer = broker.consumer(
      failing,
      async ({ body, attempt }, tx) => {
        await client.run(tx as object, `insert into effects values ('${body.id} ${attempt}')`);
        if (body.id === 'throws' && attempt === 1) throw new Error('on purpose');
        if (body.id === 'swallows' && attempt === 1)
          await client.run(tx as object, 'select no_such_column').catch(() => {});
      },
      { inbox: postgresInbox(client.db) },
    );
    await consumer.ready;
    const producer = broker.producer(failing);
    for (const id of ['fine', 'fine', 'throws', 'swallows', 'throws'])
      await producer.send({ id }, { messageId: id });
    await expect
      .poll(() => consumer.stats)
      .toMatchObject({ acked: 3 + 2, retried: 3, duplicates: 2, inFlight: 0, waiting: 0 });
    const effects = await db.query<{ what: string }>('select what from effects order by what');
    expect(effects.map(({ what }) => what)).toEqual(['fine 1', 'swallows 2', 'throws 2']);
    expect(await db.query('select queue, id from leveret_inbox order by id')).toEqual([
      { queue: 'failing', id: 'fine' },
      { queue: 'failing', id: 'swallows' },
      { queue: 'failing', id: 'throws' },
    ]);
    await broker.close();
    await client.close();
  });

  it('a store claims a key once', async () => {
    const client = await make(db.url);
    const store = postgresStore(client.db);
    const claim = await store.claim(`key of ${name}`, 60_000);
    if (typeof claim !== 'object') throw new Error('not claimed');
    expect(await store.claim(`key of ${name}`, 60_000)).toBe('busy');
    expect(await store.done(`key of ${name}`, claim.token, 60_000)).toBe(true);
    expect(await store.claim(`key of ${name}`, 60_000)).toBe('done');
    await client.close();
  });
});

describe('a transaction', () => {
  it('may be a pg client, and not one that is idle', async () => {
    const client = new pg.Client(db.url);
    await client.connect();
    const idle = { code: 'INVALID_OPTION', option: 'tx', message: expect.stringMatching(/no transaction/) };
    await expect(outbox.send(client, emails, { to: 'a' })).rejects.toMatchObject(idle);
    await client.query('begin');
    await outbox.send(client, emails, { to: 'a' }, { messageId: 'kept' });
    await client.query('commit');
    await expect(outbox.sendAll(client, emails, [{ to: 'a' }])).rejects.toMatchObject(idle);
    expect((await rows()).map((row) => row.message_id)).toEqual(['kept']);
    await db.query('delete from leveret_outbox');
    await client.end();
  });

  it('may be a QueryRunner of typeorm, and not one without a transaction', async () => {
    const source = await new DataSource({ type: 'postgres', url: db.url, poolSize: 1 }).initialize();
    const runner = source.createQueryRunner();
    await expect(outbox.send(runner, emails, { to: 'a' })).rejects.toMatchObject({ option: 'tx' });
    await runner.startTransaction();
    await outbox.send(runner, emails, { to: 'a' }, { messageId: 'kept' });
    await outbox.send(runner.manager, emails, { to: 'a' }, { messageId: 'kept, too' });
    await runner.commitTransaction();
    expect((await rows()).map((row) => row.message_id)).toEqual(['kept', 'kept, too']);
    await db.query('delete from leveret_outbox');
    await runner.release();
    await source.destroy();
  });
});

describe('the tables', () => {
  it('have the columns that users may read, and their versions', async () => {
    const columns = await db.query<{ name: string; columns: string }>(
      `select table_name as name, string_agg(column_name || ' ' || data_type || case is_nullable
         when 'YES' then ' null' else '' end, ', ' order by ordinal_position) as columns
       from information_schema.columns
       where table_name like 'leveret%' and column_name not in ('body', 'envelope', 'due_at')
       group by table_name order by table_name`,
    );
    expect(columns).toEqual([
      {
        name: 'leveret_idempotency',
        columns: 'key text, token text, state text, until timestamp with time zone',
      },
      { name: 'leveret_inbox', columns: 'queue text, id text, at timestamp with time zone' },
      {
        name: 'leveret_outbox',
        columns:
          'id bigint, message_id text, contract text, key text null, created_at timestamp with time zone, ' +
          'attempts integer, next_at timestamp with time zone null, stuck boolean, error text null',
      },
    ]);
    const versions = await db.query<{ version: string }>(
      `select obj_description(oid, 'pg_class') as version from pg_class
       where relname in ('leveret_idempotency', 'leveret_inbox', 'leveret_outbox') order by relname`,
    );
    expect(versions.map(({ version }) => version)).toEqual([
      'leveret idempotency 1',
      'leveret inbox 1',
      'leveret outbox 1',
    ]);
  });

  it('are made while the others write to them, and lose nothing when they are made again', async () => {
    const client = await db.pool.connect();
    await client.query('begin');
    await outbox.send(client, emails, { to: 'a' }, { messageId: 'before' });
    await db.migrate(
      outbox.migrations(),
      postgresInbox(db.pool).migrations(),
      postgresStore(db.pool).migrations(),
    );
    await client.query('commit');
    client.release();
    expect((await rows()).map((row) => row.message_id)).toEqual(['before']);
    await db.query('delete from leveret_outbox');
  });
});

describe('a store on PostgreSQL', () => {
  it('keeps the contract', async () => {
    await expect(testStore(postgresStore(db.pool))).resolves.toBeUndefined();
  }, 20_000);
});
