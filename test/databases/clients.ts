import { drizzle } from 'drizzle-orm/node-postgres';
import { drizzle as drizzlePostgresJs } from 'drizzle-orm/postgres-js';
import knexFactory from 'knex';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import postgres from 'postgres';
import 'reflect-metadata';
import { DataSource } from 'typeorm';
import { prismaStandIn } from './prisma-stand-in.js';

/** A client of one library, over a database of its own. */
export interface Client {
  readonly name: string;
  /** What `postgresInbox` and `broker.relay` take. */
  readonly db: object;
  /** What is no transaction. */
  readonly roots: readonly object[];
  transaction(work: (tx: object) => Promise<void>): Promise<unknown>;
  /** A savepoint inside of a transaction; undefined where the library has none. */
  savepoint?(tx: object, work: (tx: object) => Promise<void>): Promise<unknown>;
  /** Runs a statement of the user in the transaction. */
  run(tx: object, text: string): Promise<unknown>;
  close(): Promise<unknown>;
}

type Transact = { transaction(work: (tx: object) => Promise<void>): Promise<unknown> };

/** Every client, with a pool of one connection: none of ours may need a second one while it has the first. */
export const clients: Readonly<Record<string, (url: string) => Promise<Client>>> = {
  async pg(url) {
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    return {
      name: 'pg',
      db: pool,
      roots: [pool],
      async transaction(work) {
        const client = await pool.connect();
        try {
          await client.query('begin');
          await work(client);
          await client.query('commit');
        } catch (error) {
          await client.query('rollback');
          throw error;
        } finally {
          client.release();
        }
      },
      async savepoint(tx, work) {
        const client = tx as pg.PoolClient;
        await client.query('savepoint one');
        await work(tx).catch(async (error) => {
          await client.query('rollback to savepoint one');
          throw error;
        });
      },
      run: (tx, text) => (tx as pg.PoolClient).query(text),
      close: () => pool.end(),
    };
  },
  async 'postgres.js'(url) {
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    return {
      name: 'postgres.js',
      db: sql,
      roots: [sql],
      transaction: (work) => sql.begin((tx) => work(tx)),
      savepoint: (tx, work) => (tx as postgres.TransactionSql).savepoint((nested) => work(nested)),
      run: (tx, text) => (tx as postgres.TransactionSql).unsafe(text),
      close: () => sql.end(),
    };
  },
  async kysely(url) {
    const db = new Kysely<unknown>({
      dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: 1 }) }),
    });
    const compiled = (sql: string) =>
      ({ sql, parameters: [], query: { kind: 'RawNode', sqlFragments: [sql], parameters: [] } }) as never;
    return {
      name: 'kysely',
      db,
      roots: [db],
      transaction: (work) => db.transaction().execute((tx) => work(tx)),
      run: (tx, text) => (tx as typeof db).executeQuery(compiled(text)),
      close: () => db.destroy(),
    };
  },
  async 'drizzle over pg'(url) {
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    const db = drizzle(pool);
    return {
      name: 'drizzle',
      db,
      roots: [db],
      transaction: (work) => db.transaction((tx) => work(tx)),
      savepoint: (tx, work) => (tx as Transact).transaction(work),
      run: (tx, text) => (tx as typeof db).execute(text),
      close: () => pool.end(),
    };
  },
  async 'drizzle over postgres.js'(url) {
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    const db = drizzlePostgresJs(sql);
    return {
      name: 'drizzle',
      db,
      roots: [db],
      transaction: (work) => db.transaction((tx) => work(tx)),
      savepoint: (tx, work) => (tx as Transact).transaction(work),
      run: (tx, text) => (tx as typeof db).execute(text),
      close: () => sql.end(),
    };
  },
  async knex(url) {
    const db = knexFactory({ client: 'pg', connection: url, pool: { min: 0, max: 1 } });
    return {
      name: 'knex',
      db,
      roots: [db],
      transaction: (work) => db.transaction((tx) => work(tx)),
      savepoint: (tx, work) => (tx as Transact).transaction(work),
      run: async (tx, text) => (tx as typeof db).raw(text),
      close: () => db.destroy(),
    };
  },
  async typeorm(url) {
    const db = await new DataSource({ type: 'postgres', url, poolSize: 1 }).initialize();
    return {
      name: 'typeorm',
      db,
      roots: [db, db.manager],
      transaction: (work) => db.transaction((tx) => work(tx)),
      savepoint: (tx, work) => (tx as Transact).transaction(work),
      run: (tx, text) => (tx as typeof db.manager).query(text),
      close: () => db.destroy(),
    };
  },
  async 'prisma, by its shape'(url) {
    const { prisma, close } = prismaStandIn(url);
    return {
      name: 'prisma',
      db: { transaction: (work: (tx: object) => Promise<void>) => prisma.$transaction(work) },
      roots: [prisma],
      transaction: (work) => prisma.$transaction(work),
      savepoint: (tx, work) => (tx as typeof prisma).$transaction(work),
      run: (tx, text) => (tx as typeof prisma).$executeRawUnsafe(text),
      close,
    };
  },
  async '{ execute }'(url) {
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    const transaction = async (work: (tx: object) => Promise<void>) => {
      const client = await pool.connect();
      try {
        await client.query('begin');
        await work({ execute: (text: string, values?: unknown[]) => client.query(text, values) });
        await client.query('commit');
      } catch (error) {
        await client.query('rollback');
        throw error;
      } finally {
        client.release();
      }
    };
    return {
      name: '{ execute }',
      db: { transaction },
      roots: [{}, pool],
      transaction,
      run: (tx, text) => (tx as { execute(text: string): Promise<unknown> }).execute(text),
      close: () => pool.end(),
    };
  },
};
