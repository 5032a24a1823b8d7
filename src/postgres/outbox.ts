import { createHash } from 'node:crypto';
import type { Contract } from '../contracts/types.js';
import { CommitListeners } from '../outbox/commit-listeners.js';
import type { Outbox } from '../outbox/outbox.js';
import type { NewRow } from '../outbox/relay-store.js';
import { RowMaker } from '../outbox/row-maker.js';
import { expectBoolean, expectInteger } from '../util/checks.js';
import { ownDatabaseOf } from './database.js';
import { OutboxTable } from './outbox-table.js';
import { sqlRunnerOf } from './sql-runner.js';
import { arrayOf, migrationsOf, type TableOptions, tableOf } from './table.js';

/** The options of {@link postgresOutbox}. */
export interface PostgresOutboxOptions extends TableOptions {
  /** The table's name. @defaultValue 'leveret_outbox' */
  readonly table?: string | undefined;
  /** The largest body, in bytes, 1 or more. @defaultValue 1048576 (1 MiB) */
  readonly maxBodyBytes?: number | undefined;
  /**
   * Whether `send` uses a prepared statement, which spares PostgreSQL half of its work. With transactions of pg and postgres.js only.
   * Do not set it behind a connection pooler that passes transactions to different connections and does not know prepared
   * statements, such as PgBouncer before 1.21. @defaultValue false
   */
  readonly prepare?: boolean | undefined;
}

/**
 * An outbox on PostgreSQL: `send` inserts a row with the user's transaction, and a relay sends it. Pure data, no I/O.
 *
 * @param contracts - every queue and exchange that is sent to
 * @throws ConfigurationError for a wrong contract, an unknown option or a value out of range
 *
 * @example
 * ```ts
 * const outbox = postgresOutbox([emails, orders]);
 * await sql.begin(async (tx) => {
 *   await tx`insert into users ${tx(user)}`;
 *   await outbox.send(tx, emails, { to: user.email, subject: 'Welcome' }, { key: user.id });
 * });
 * broker.relay(outbox, { db: sql });
 * ```
 */
export function postgresOutbox<const C extends Contract>(
  contracts: readonly C[],
  options: PostgresOutboxOptions = {},
): Outbox<C> {
  const table = tableOf('postgresOutbox', options, OPTION_CHECKS, OUTBOX);
  const maker = new RowMaker('postgresOutbox', contracts, options.maxBodyBytes ?? 1024 * 1024);
  const { committed, onCommitted } = new CommitListeners();
  const insertNow = statementOf(table.sql, '', '');
  const insertLater = statementOf(table.sql, ', due_at', `, ${dueAt('$6::text')}`);
  const insertMany = `${INTO(table.sql, ', due_at')} select m, c, k, decode(b, 'base64'), e, ${dueAt('d')}
    from unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[])
      with ordinality as r(m, c, k, b, e, d, n)
    order by n`;
  return {
    async send(tx: object, contract: Contract, body: unknown, ...[sendOptions]: readonly unknown[]) {
      const run = sqlRunnerOf(tx);
      const row = await maker.row(contract, body, sendOptions);
      const { text, name } = row.dueInMs === undefined ? insertNow : insertLater;
      const values = columnsOf(row).map((value) => value ?? null);
      // Most messages are due at once, and an insert without this column takes a tenth less work.
      if (row.dueInMs === undefined) values.pop();
      await run(text, values, options.prepare === true ? name : undefined);
      return { messageId: row.messageId };
    },
    async sendAll(tx: object, contract: Contract, bodies: unknown, ...[each]: readonly unknown[]) {
      const run = sqlRunnerOf(tx);
      const rows = await maker.rows(contract, bodies, each);
      if (rows.length > 0) {
        const all = rows.map(columnsOf);
        const columns = [0, 1, 2, 3, 4, 5].map((at) => arrayOf(all.map((row) => row[at])));
        await run(insertMany, columns);
      }
      return { messageIds: rows.map(({ messageId }) => messageId) };
    },
    committed,
    migrations: () => migrationsOf(table, COLUMNS, indexesOf(table.sql)),
    engine: {
      contracts: maker.contracts,
      open: (db) => new OutboxTable(ownDatabaseOf('broker.relay', db), table),
      onCommitted,
    },
  } as Outbox<C>;
}

const OUTBOX = { table: 'leveret_outbox', version: 'leveret outbox 1' } as const;

const OPTION_CHECKS = { maxBodyBytes: expectInteger(1), prepare: expectBoolean };

const INTO = (table: string, more: string) =>
  `insert into ${table} (message_id, contract, key, body, envelope${more})`;

/** The statement for one row, and a name that no other statement has. */
function statementOf(table: string, columns: string, values: string) {
  const text = `${INTO(table, columns)} values ($1::text, $2::text, $3::text, decode($4::text, 'base64'), $5::text${values})`;
  return { text, name: `leveret-${createHash('sha256').update(text).digest('hex').slice(0, 32)}` };
}

/** By the database's clock, like everything that it is compared with. */
const dueAt = (ms: string) => `clock_timestamp() + ${ms}::float8 * interval '1 millisecond'`;

function columnsOf(row: NewRow): readonly (string | undefined)[] {
  const { messageId, contract, key, body, envelope, dueInMs } = row;
  return [messageId, contract, key, body.toString('base64'), envelope, dueInMs?.toString()];
}

const COLUMNS = `
      id bigint generated by default as identity primary key,
      message_id text not null,
      contract text not null,
      key text,
      body bytea not null,
      envelope text not null,
      due_at timestamptz,
      created_at timestamptz not null default clock_timestamp(),
      attempts integer not null default 0,
      next_at timestamptz,
      stuck boolean not null default false,
      error text
    `;

/** The rows of a key, in order, and those that have failed. New rows are found by the primary key. */
const indexesOf = (table: string) => [
  `create index on ${table} (key, id) where key is not null`,
  `create index on ${table} (next_at) where next_at is not null`,
  `alter table ${table} set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000)`,
];
