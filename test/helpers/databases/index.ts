import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';

/** A database of one test file alone. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  /** A pool over it, with no listener for `error`: the code under test has to do without. */
  readonly pool: pg.Pool;
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Runs what `migrations()` gave. */
  migrate(...migrations: readonly (readonly string[])[]): Promise<void>;
  pools(count: number, options?: pg.PoolConfig): pg.Pool[];
  remove(): Promise<void>;
}

/** Makes an empty database on the server that the tests share. */
export async function createDatabase(server: string = inject('postgres').url): Promise<TestDatabase> {
  const name = `leveret_${randomBytes(6).toString('hex')}`;
  const admin = new pg.Pool({ connectionString: server, max: 1 });
  admin.on('error', () => {});
  await admin.query(`create database ${name}`);
  const address = new URL(server);
  address.pathname = name;
  const url = address.href;
  const pool = new pg.Pool({ connectionString: url, max: 10 });
  // Of the tests' own statements, so that nothing which they do to the others touches them.
  const own = new pg.Pool({ connectionString: url, max: 2 });
  own.on('error', () => {});
  const made: pg.Pool[] = [pool];
  const remove = async () => {
    await Promise.all([...made, own].map((it) => (it.ended ? undefined : it.end())));
    await admin.query(`drop database if exists ${name} with (force)`);
    await admin.end();
  };
  return {
    url,
    pool,
    query: async <Row extends object>(text: string, values: readonly unknown[] = []) =>
      (await own.query<Row>(text, [...values])).rows,
    migrate: async (...migrations) => {
      for (const statement of migrations.flat()) await own.query(statement);
    },
    pools: (count, options = {}) => {
      const pools = Array.from({ length: count }, () => new pg.Pool({ connectionString: url, ...options }));
      made.push(...pools);
      return pools;
    },
    remove,
    [Symbol.asyncDispose]: remove,
  };
}
