import { randomUUID } from 'node:crypto';
import type { ClaimResult, IdempotencyStore } from '../idempotency/store.js';
import { systemClock } from '../util/clock.js';
import { type Database, ownDatabaseOf } from './database.js';
import { SWEEP_ROWS } from './sweeper.js';
import { migrationsOf, type Table, type TableOptions, tableOf } from './table.js';

/** The options of {@link postgresStore}. */
export interface PostgresStoreOptions extends TableOptions {
  /** The table's name. @defaultValue 'leveret_idempotency' */
  readonly table?: string | undefined;
}

/**
 * An idempotency store on PostgreSQL, for effects outside of this database: if a handler only writes to this database,
 * `postgresInbox` promises more. No I/O before it is used. Removes expired rows as long as it is used.
 *
 * @param db - as for `postgresInbox`
 * @throws ConfigurationError for a `db` of another shape, an unknown option or a bad name
 * @example
 * ```ts
 * broker.consumer(emails, ({ body }) => deliver(body), { idempotency: { store: postgresStore(sql) } });
 * ```
 */
export function postgresStore(
  db: object,
  options: PostgresStoreOptions = {},
): IdempotencyStore & {
  /** The SQL statements that create its table. Running them again changes nothing and loses no row. */
  migrations(): string[];
} {
  const table = tableOf('postgresStore', options, {}, STORE);
  return new PostgresStore(ownDatabaseOf('postgresStore', db), table);
}

const STORE = { table: 'leveret_idempotency', version: 'leveret idempotency 1' } as const;

const COLUMNS = `
      key text primary key,
      token text not null,
      state text not null check (state in ('claimed', 'done')),
      until timestamptz not null
    `;

const SWEEP_EVERY_MS = 10_000;

/** The store behind {@link postgresStore}. */
class PostgresStore implements IdempotencyStore {
  readonly #db: Database<unknown>;
  readonly #table: Table;
  readonly #sql: ReturnType<typeof statementsOf>;
  #isSweeping = false;

  constructor(db: Database<unknown>, table: Table) {
    this.#db = db;
    this.#table = table;
    this.#sql = statementsOf(table.sql);
  }

  migrations(): string[] {
    return migrationsOf(this.#table, COLUMNS, [`create index on ${this.#table.sql} (until)`]);
  }

  async claim(key: string, leaseMs: number): Promise<ClaimResult> {
    this.#sweepSoon();
    const token = randomUUID();
    const answer = await this.#ask(this.#sql.claim, [key, token, `${leaseMs}`]);
    if (answer === token) return { token };
    return answer === 'done' ? 'done' : 'busy';
  }

  async renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return (await this.#ask(this.#sql.renew, [key, token, `${leaseMs}`])) === '1';
  }

  async done(key: string, token: string, ttlMs: number): Promise<boolean> {
    this.#sweepSoon();
    return (await this.#ask(this.#sql.done, [key, token, `${ttlMs}`])) === '1';
  }

  async release(key: string, token: string): Promise<boolean> {
    return (await this.#ask(this.#sql.release, [key, token])) === '1';
  }

  async #ask(text: string, values: readonly string[]): Promise<unknown> {
    const [row] = await this.#db.transaction(({ run }) => run(text, values), { readCommitted: true });
    return row?.answer;
  }

  /** In a moment, and again as long as rows are left that will expire. */
  #sweepSoon(): void {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    systemClock.setTimeout(() => void this.#sweep(), SWEEP_EVERY_MS).unref();
  }

  async #sweep(): Promise<void> {
    try {
      while (Number(await this.#ask(this.#sql.sweep, [])) >= SWEEP_ROWS);
      const isEmpty = (await this.#ask(this.#sql.isEmpty, [])) === 'true';
      this.#isSweeping = false;
      if (!isEmpty) this.#sweepSoon();
    } catch {
      // The database is unreachable, or the pool was closed: the next claim starts again.
      this.#isSweeping = false;
    }
  }
}

const FROM_NOW = "clock_timestamp() + $3::text::float8 * interval '1 millisecond'";

function statementsOf(table: string) {
  const isMine = "key = $1::text and token = $2::text and state = 'claimed' and until > clock_timestamp()";
  const counted = (statement: string) =>
    `with changed as (${statement} returning 1) select count(*)::text as answer from changed`;
  return {
    // If it could not insert a row, it returns the other claim's: 'busy' also if that one is too new to be visible.
    claim: `
      with claimed as (
        insert into ${table} as t (key, token, state, until)
        values ($1::text, $2::text, 'claimed', ${FROM_NOW})
        on conflict (key) do update set token = excluded.token, state = excluded.state, until = excluded.until
          where t.until <= clock_timestamp()
        returning t.token)
      select coalesce(
        (select token from claimed),
        (select state from ${table} where key = $1::text)) as answer`,
    renew: counted(`update ${table} set until = ${FROM_NOW} where ${isMine}`),
    done: counted(`update ${table} set state = 'done', until = ${FROM_NOW} where ${isMine}`),
    release: counted(`delete from ${table} where ${isMine}`),
    sweep: counted(`delete from ${table} where key in (
      select key from ${table} where until <= clock_timestamp() order by until limit ${SWEEP_ROWS}
      for update skip locked)`),
    isEmpty: `select (not exists (select 1 from ${table}))::text as answer`,
  };
}
