import type { Inbox, InboxEngine, InboxEntry, InboxResult, InboxRunOptions } from '../inbox/inbox.js';
import { type Check, expectInteger } from '../util/checks.js';
import { type Database, databaseOf } from './database.js';
import type { RunSql } from './sql-runner.js';
import { SWEEP_ROWS, Sweeper } from './sweeper.js';
import { checkTable, migrationsOf, type Table, type TableOptions, tableOf } from './table.js';
import type { TransactionOf } from './transaction-of.js';

/** The options of {@link postgresInbox}. */
export interface PostgresInboxOptions extends TableOptions {
  /** The table's name. @defaultValue 'leveret_inbox' */
  readonly table?: string | undefined;
  /**
   * How long a message is remembered, in milliseconds, 1 000 or more, by the database's clock. Applies to all rows of the
   * table. @defaultValue 604800000 (7 days)
   */
  readonly retentionMs?: number | undefined;
  /**
   * How long a handler's transaction may be idle between two statements, in milliseconds, 1 000 to the handler's
   * `handlerTimeoutMs`: then PostgreSQL ends it, so that a frozen process does not block others. @defaultValue 60000
   */
  readonly maxIdleMs?: number | undefined;
}

const inboxChecks: Readonly<Record<string, Check>> = {
  retentionMs: expectInteger(1_000),
  maxIdleMs: expectInteger(1_000, 2 ** 31 - 1),
};

/**
 * An inbox on PostgreSQL: the handler of a consumer runs inside a transaction that records the message, so what it writes
 * through `tx` is written once. No I/O before a consumer uses it.
 *
 * @param db - a pg `Pool`, a postgres.js `sql`, a kysely, drizzle or knex instance, a typeorm `DataSource`, or
 * `{ transaction(work) }`
 * @throws ConfigurationError for a `db` of another shape, an unknown option or a value out of range
 *
 * @example
 * ```ts
 * broker.consumer(emails, async ({ body }, tx) => tx`insert into mails ${tx(body)}`, { inbox: postgresInbox(sql) });
 * ```
 */
export function postgresInbox<Db>(db: Db, options: PostgresInboxOptions = {}): Inbox<TransactionOf<Db>> {
  const table = tableOf('postgresInbox', options, inboxChecks, INBOX);
  const { retentionMs = 7 * 24 * 60 * 60_000, maxIdleMs } = options;
  const database = databaseOf<TransactionOf<Db>>('postgresInbox', db);
  return {
    migrations: () => migrationsOf(table, COLUMNS, [`create index on ${table.sql} (at)`]),
    engine: new PostgresInbox(database, table, retentionMs, maxIdleMs),
  };
}

const INBOX = { table: 'leveret_inbox', version: 'leveret inbox 1' } as const;

const COLUMNS = `
      queue text not null,
      id text not null,
      at timestamptz not null default now(),
      primary key (queue, id)
    `;

/** How long one statement waits for another run of the same message, before it is sent again. */
const LOCK_MS = 5_000;

const MAX_SWEEP_MS = 60_000;

/** The inbox behind {@link postgresInbox}. */
class PostgresInbox<Tx> implements InboxEngine<Tx> {
  readonly maxIdleMs: number | undefined;
  readonly #db: Database<Tx>;
  readonly #table: Table;
  readonly #retentionMs: number;
  readonly #sweeper: Sweeper;

  constructor(db: Database<Tx>, table: Table, retentionMs: number, maxIdleMs: number | undefined) {
    this.maxIdleMs = maxIdleMs;
    this.#db = db;
    this.#table = table;
    this.#retentionMs = retentionMs;
    this.#sweeper = new Sweeper({
      everyMs: Math.min(retentionMs, MAX_SWEEP_MS) / 3,
      sweep: () => this.#sweep(),
    });
  }

  check(): Promise<void> {
    return this.#db.transaction(({ run }) => checkTable(run, this.#table, ['SELECT', 'INSERT', 'DELETE']));
  }

  async run(
    entry: InboxEntry | undefined,
    { maxIdleMs, signal }: InboxRunOptions,
    work: (tx: Tx) => Promise<void>,
  ): Promise<InboxResult> {
    let hasBegun = false;
    try {
      return await this.#db.transaction(
        async ({ tx, run }) => {
          if (entry) {
            if (!(await this.#record(run, entry, maxIdleMs))) return 'duplicate';
          } else await run(SET_IDLE, [`${maxIdleMs}`]);
          hasBegun = true;
          await work(tx);
          return 'committed';
        },
        { signal },
      );
    } catch (error) {
      if (!hasBegun && isLockTimeout(error)) return 'busy';
      throw error;
    }
  }

  keepClean(): () => void {
    return this.#sweeper.use();
  }

  /** Returns false when the message is recorded already. */
  async #record(run: RunSql, { queue, id }: InboxEntry, maxIdleMs: number): Promise<boolean> {
    const [row] = await run(recordSql(this.#table.sql), [queue, id, `${maxIdleMs}`, `${LOCK_MS}`]);
    return row?.recorded === '1';
  }

  async #sweep(): Promise<number> {
    const [row] = await this.#db.transaction(({ run }) =>
      run(sweepSql(this.#table.sql), [`${this.#retentionMs}`]),
    );
    return Number(row?.removed ?? 0);
  }
}

const SET_IDLE = `select set_config('idle_in_transaction_session_timeout', $1::text, true) as idle`;

/**
 * One statement that sets the limits of this transaction, inserts the row, and restores the previous lock timeout, so that the
 * handler's statements do not inherit ours. Each part needs a result of the one before, which keeps their order.
 */
const recordSql = (table: string) => `
  with before as materialized (
    select current_setting('lock_timeout') as lock
  ), recorded as (
    insert into ${table} (queue, id)
    select $1::text, $2::text
    from before,
      lateral set_config('lock_timeout', case when before.lock is not null then $4::text end, true) as wait,
      set_config('idle_in_transaction_session_timeout', $3::text, true) as idle
    where wait is not null and idle is not null
    on conflict do nothing
    returning 1 as one
  ), counted as materialized (
    select count(*) as recorded from recorded
  )
  select counted.recorded::text as recorded,
    set_config('lock_timeout', case when counted.recorded >= 0 then before.lock end, true) as lock
  from counted, before`;

const sweepSql = (table: string) => `
  with removed as (
    delete from ${table} where (queue, id) in (
      select queue, id from ${table}
      where at < clock_timestamp() - $1::text::float8 * interval '1 millisecond'
      order by at limit ${SWEEP_ROWS} for update skip locked)
    returning 1)
  select count(*)::text as removed from removed`;

/** `lock_not_available`; some libraries keep the driver's error as a cause. */
function isLockTimeout(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at && depth < 5; depth++) {
    const { code, cause, driverError } = at as Record<string, unknown>;
    if (code === '55P03') return true;
    at = cause ?? driverError;
  }
  return false;
}
