import {
  type BatchRequest,
  type BatchWork,
  type RelayStore,
  type RowOutcome,
  type StoredRow,
  type StoreStats,
  type StuckRow,
  splitError,
  unknownContract,
} from '../outbox/relay-store.js';
import { Serial } from '../util/serial.js';
import { realTimers } from '../util/timers.js';
import type { Database } from './database.js';
import type { Row, RunSql } from './sql-runner.js';
import { arrayOf, checkTable, type Table, textIn } from './table.js';

/** How many relays can work on keys at the same time: each key belongs to one of these slots. */
const SLOTS = 16;

/** After this time without a statement PostgreSQL ends the transaction of a batch, because its owner is frozen. */
const IDLE_MS = 30_000;

/**
 * The most bytes of bodies in a batch, unless a single row has more. They all fit into the window of a publisher, so that
 * nothing is left to be published when another relay may already own the batch.
 */
const MAX_BATCH_BYTES = 8 * 1024 * 1024;

/** No row waits longer for its next attempt, in seconds, unless the database's clock was put back: then it is due. */
const MAX_WAIT_S = 60;

/** The counters stop at this number. */
const MAX_COUNTED = 100_000;

/**
 * The table of an outbox on PostgreSQL. A batch is one transaction: it locks the slots of keys that no other relay works on,
 * takes rows, waits until they are sent, and deletes them. Its locks end with it, also when its process dies.
 */
export class OutboxTable implements RelayStore {
  readonly table: string;
  readonly statsEveryMs = 2_000;
  readonly #db: Database<unknown>;
  readonly #table: Table;
  readonly #sql: ReturnType<typeof statementsOf>;
  /** Everything but batches: one at a time, so that a relay holds two connections at most. */
  readonly #aside = new Serial();

  constructor(db: Database<unknown>, table: Table) {
    this.#db = db;
    this.#table = table;
    this.table = table.name;
    this.#sql = statementsOf(table.sql);
  }

  check(signal: AbortSignal): Promise<void> {
    return this.#query((run) => checkTable(run, this.#table, ['SELECT', 'UPDATE', 'DELETE']), signal);
  }

  batch(request: BatchRequest, work: BatchWork): Promise<number> {
    const { limit, aheadMs, signal } = request;
    const contracts = arrayOf(request.contracts);
    return this.#db.transaction(
      async ({ run }) => {
        const takenAt = realTimers.now();
        // A separate statement, because the next one has to see what was committed before these locks were acquired.
        const locked = await run(this.#sql.lock, [`${IDLE_MS}`, this.#table.sql]);
        const slots = arrayOf(locked.map(({ slot }) => textIn(slot)));
        const candidates = (ofFailed: number) =>
          run(this.#sql.take, [contracts, slots, `${limit}`, `${aheadMs}`, `${ofFailed}`]);
        const share = shareOfFailed(limit);
        let ids = inOrder(await candidates(share));
        if (ids.length === 0 && share === 0) ids = inOrder(await candidates(limit));
        if (ids.length === 0) return 0;
        const taken = await run(this.#sql.read, [arrayOf(ids)]);
        const outcomes = await work(taken.map(toStoredRow), takenAt);
        await this.#settle(run, outcomes, aheadMs);
        return taken.length;
      },
      { readCommitted: true, signal },
    );
  }

  stats(contracts: readonly string[], signal: AbortSignal): Promise<StoreStats> {
    return this.#query(async (run) => {
      const [row] = await run(this.#sql.stats, [arrayOf(contracts), `${MAX_COUNTED}`]);
      const number = (value: unknown) => Math.max(0, Math.round(Number(value ?? 0)));
      return { waiting: number(row?.waiting), oldestMs: number(row?.oldest), stuck: number(row?.stuck) };
    }, signal);
  }

  stuck(contracts: readonly string[], limit: number): Promise<StuckRow[]> {
    return this.#query(async (run) => {
      const rows = await run(this.#sql.stuck, [arrayOf(contracts), `${limit}`]);
      return rows.map((row) => ({
        id: textIn(row.id),
        messageId: textIn(row.message),
        contract: textIn(row.contract),
        attempts: Number(row.attempts),
        createdAt: new Date(Number(row.created)),
        error:
          row.known === 'true' && typeof row.error === 'string'
            ? splitError(row.error)
            : unknownContract(textIn(row.contract)),
      }));
    });
  }

  discard(contracts: readonly string[], id: string): Promise<boolean> {
    if (!/^\d{1,18}$/.test(id)) return Promise.resolve(false);
    return this.#query(async (run) => {
      const [row] = await run(this.#sql.discard, [arrayOf(contracts), id]);
      return row?.removed === '1';
    });
  }

  async #settle(run: RunSql, outcomes: readonly RowOutcome[], aheadMs: number): Promise<void> {
    const sent = outcomes.flatMap((it) => (it.kind === 'sent' ? [it.id] : []));
    const failed = outcomes.flatMap((it) => (it.kind === 'failed' ? [it] : []));
    if (sent.length > 0) await run(this.#sql.remove, [arrayOf(sent)]);
    if (failed.length === 0) return;
    await run(this.#sql.fail, [
      arrayOf(failed.map(({ id }) => id)),
      arrayOf(failed.map(({ delayMs }) => `${delayMs + aheadMs}`)),
      arrayOf(failed.map(({ isStuck }) => `${isStuck}`)),
      arrayOf(failed.map(({ error }) => error.replaceAll('\0', '').slice(0, MAX_ERROR_CHARACTERS))),
    ]);
  }

  #query<T>(ask: (run: RunSql) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#aside.run(() => this.#db.transaction(({ run }) => ask(run), { signal }));
  }
}

const MAX_ERROR_CHARACTERS = 2_000;

/**
 * At most a quarter of a batch is for rows that have failed before, so that new rows do not wait for them, however many there
 * are. Random where a quarter is not a whole number: in a batch of one, both have their turns.
 */
function shareOfFailed(limit: number): number {
  return Math.floor(limit / 4 + Math.random());
}

/**
 * The ids of the rows that may be sent: those without a key, and of each key the first ones up to a gap. A gap is a row that
 * is locked, that has to wait, or whose contract is unknown to this relay.
 */
function inOrder(candidates: readonly Row[]): string[] {
  const lastOfKey = new Map<string, string>();
  const ids: string[] = [];
  let sizeBytes = 0;
  for (const { key, size, before, ...row } of candidates) {
    if (sizeBytes >= MAX_BATCH_BYTES) break;
    const id = textIn(row.id);
    if (typeof key === 'string') {
      if ((before ?? undefined) !== lastOfKey.get(key)) continue;
      lastOfKey.set(key, id);
    }
    sizeBytes += Number(size);
    ids.push(id);
  }
  return ids;
}

function toStoredRow(row: Row): StoredRow {
  return {
    id: textIn(row.id),
    messageId: textIn(row.message),
    contract: textIn(row.contract),
    key: typeof row.key === 'string' ? row.key : undefined,
    body: Buffer.from(textIn(row.body), 'base64'),
    envelope: textIn(row.envelope),
    dueInMs: typeof row.due === 'string' && Number(row.due) > 0 ? Number(row.due) : undefined,
    attempts: Number(row.attempts),
  };
}

/**
 * Every value is text and states its own type, and so does every result, because drivers convert other types differently.
 * Names of results have no underscores, because a kysely plugin would rewrite them.
 */
function statementsOf(table: string) {
  const isMine = `(t.key is null or (hashtext(t.key) & ${SLOTS - 1}) = any ($2::text::int[]))`;
  const now = "(statement_timestamp() + $4::text::float8 * interval '1 millisecond')";
  return {
    lock: `
      select s.slot::text as slot
      from set_config('idle_in_transaction_session_timeout', $1::text, true) as idle,
        generate_series(0, ${SLOTS - 1}) as s(slot)
      where idle is not null and pg_try_advisory_xact_lock(
        hashtext('leveret outbox ' || $2::text::regclass::oid::text), s.slot)`,
    // The statistics of a table that is mostly empty tell the planner nothing. So no part leaves it a choice that becomes slow
    // with many rows: what is looked up by key is ordered by the columns of the index on keys. `blocked` only saves look-ups.
    take: `
      with failed as materialized (
        select t.id, t.key, octet_length(t.body) as size
        from ${table} as t
        where (t.next_at <= ${now} or t.next_at > ${now} + interval '${MAX_WAIT_S} s')
          and t.contract = any ($1::text::text[]) and ${isMine}
        order by t.next_at
        limit $5::text::int
        for update of t skip locked
      ), blocked as materialized (
        select t.key from ${table} as t where t.next_at is not null and t.key is not null limit 10000
      ), fresh as materialized (
        select t.id, t.key, octet_length(t.body) as size
        from ${table} as t
        where t.next_at is null and t.contract = any ($1::text::text[]) and ${isMine}
          and (t.key is null or (t.key not in (select key from blocked) and (
            select first.next_at is null and first.contract = any ($1::text::text[])
            from ${table} as first
            where first.key >= t.key
            order by first.key, first.id
            limit 1)))
        order by t.id
        limit $3::text::int - (select count(*) from failed)
        for update of t skip locked
      )
      select t.id::text as id, t.key as key, t.size::text as size, (
        select case when e.key = t.key then e.id::text end
        from ${table} as e
        where e.key is not null and (e.key, e.id) < (t.key, t.id)
        order by e.key desc, e.id desc
        limit 1) as before
      from (select * from failed union all select * from fresh) as t
      order by t.id`,
    read: `
      select t.id::text as id, t.message_id as message, t.contract as contract, t.key as key,
        encode(t.body, 'base64') as body, t.envelope as envelope, t.attempts::text as attempts,
        ceil(extract(epoch from t.due_at - clock_timestamp()) * 1000)::bigint::text as due
      from ${table} as t
      where t.id = any ($1::text::bigint[])
      order by t.id`,
    remove: `delete from ${table} where id = any ($1::text::bigint[])`,
    fail: `
      update ${table} as t
      set attempts = t.attempts + 1, stuck = f.stuck, error = f.error,
        next_at = clock_timestamp() + f.ms * interval '1 millisecond'
      from unnest($1::text::bigint[], $2::text::float8[], $3::text::boolean[], $4::text::text[])
        as f(id, ms, stuck, error)
      where t.id = f.id`,
    stats: `
      select count(*)::text as waiting,
        count(*) filter (where s.stuck or s.contract <> all ($1::text::text[]))::text as stuck,
        (extract(epoch from clock_timestamp() - min(s.created_at)) * 1000)::text as oldest
      from (select stuck, contract, created_at from ${table} order by id limit $2::text::int) as s`,
    stuck: `
      select id::text as id, message_id as message, contract, attempts::text as attempts, error,
        (contract = any ($1::text::text[]))::text as known,
        (extract(epoch from created_at) * 1000)::text as created
      from ${table}
      where stuck or contract <> all ($1::text::text[])
      order by id
      limit $2::text::int`,
    discard: `
      with removed as (
        delete from ${table}
        where id = $2::text::bigint and (stuck or contract <> all ($1::text::text[]))
        returning 1)
      select count(*)::text as removed from removed`,
  };
}
