import { ConfigurationError } from '../errors.js';
import { show } from '../util/checks.js';
import { raceAbort, systemClock, withDeadline } from '../util/clock.js';
import { onAbort } from '../util/on-abort.js';
import { deferred } from '../util/promises.js';
import { protectPool } from './pool-guard.js';
import {
  call,
  can,
  isDrizzle,
  isKnex,
  isKysely,
  isPgPool,
  isPostgresJs,
  isPrisma,
  isShape,
  type RunSql,
  rootOf,
  type Shape,
  sqlRunnerOf,
} from './sql-runner.js';

/** A transaction of a user's library, and the function that runs our SQL in it. */
export interface OpenTransaction<Tx> {
  readonly tx: Tx;
  readonly run: RunSql;
}

export interface TransactionOptions {
  /** `read committed`, whatever the default of the database is. */
  readonly readCommitted?: boolean;
  /** Abandons the transaction: it is rolled back as soon as the library can. */
  readonly signal?: AbortSignal | undefined;
}

/** Provides transactions, whatever the library. */
export interface Database<Tx> {
  /** Commits when the work resolves and rolls back when it rejects. Resolves after the commit. */
  transaction<T>(work: (open: OpenTransaction<Tx>) => Promise<T>, options?: TransactionOptions): Promise<T>;
}

/**
 * How long PostgreSQL may take to answer a statement of ours. After that its connection counts as lost: when a network drops
 * packets silently, or a server vanishes without a word, no error ever comes.
 */
const ANSWER_MS = 60_000;

/** The shape of a library's own `transaction`, once its object is known. */
type Transact = (work: (tx: object) => Promise<void>) => Promise<unknown>;

/**
 * Finds out how a user's database object provides transactions.
 *
 * @param where - the name of the called function, for messages
 * @throws ConfigurationError for an unknown shape, and for an object that already is a transaction
 */
export function databaseOf<Tx>(where: string, db: unknown, answerMs: number = ANSWER_MS): Database<Tx> {
  const refuse = (got: string) =>
    new ConfigurationError(
      'db',
      `${where}: option 'db' must be a pg Pool, a postgres.js 'sql', a kysely, drizzle or knex instance, ` +
        `a typeorm DataSource or { transaction(work) }, got ${got}`,
    );
  if (!isShape(db)) throw refuse(show(db));
  if (isPgPool(db)) return new PgDatabase(db, answerMs) as unknown as Database<Tx>;
  if (isPrisma(db))
    throw refuse('a prisma client: write { transaction: (work) => prisma.$transaction(work) }');
  if (isTransaction(db)) throw refuse('a transaction');
  const transact = transactOf(db);
  if (!transact) throw refuse(show(db));
  return new LibraryDatabase<Tx>(transact, answerMs);
}

/**
 * The same for our own statements, for which the library's own transaction is of no use: drizzle never returns a client to
 * its pool when `begin` fails on it.
 */
export function ownDatabaseOf(where: string, db: unknown): Database<unknown> {
  const pool = isShape(db) && isDrizzle(db) ? db.$client : undefined;
  return databaseOf(where, isShape(pool) && isPgPool(pool) ? pool : db);
}

/** A transaction of these libraries can begin a nested one: a savepoint. */
function isTransaction(shape: Shape): boolean {
  return (isDrizzle(shape) || isKysely(shape) || isKnex(shape)) && rootOf(shape) === undefined;
}

function transactOf(shape: Shape): Transact | undefined {
  if (isPostgresJs(shape))
    return can(shape, 'begin') ? async (work) => call(shape, 'begin', work) : undefined;
  if (isKysely(shape)) return async (work) => call(call(shape, 'transaction') as Shape, 'execute', work);
  if (!can(shape, 'transaction')) return undefined;
  // drizzle keeps the pool that it was created with.
  protectPool(shape.$client);
  return async (work) => call(shape, 'transaction', work);
}

/** The part of a pg client that we use. */
interface PgClient {
  query(text: string): Promise<{ readonly command?: string }>;
  on(event: 'error', listener: () => void): unknown;
  release(destroy?: boolean): void;
}

/** For a pg Pool: we own the client here, so it can be withdrawn from work that does not end. */
class PgDatabase implements Database<PgClient> {
  readonly #pool: { connect(): Promise<PgClient> };
  readonly #answerMs: number;

  constructor(pool: Shape, answerMs: number) {
    this.#answerMs = answerMs;
    this.#pool = pool as unknown as { connect(): Promise<PgClient> };
    protectPool(pool);
  }

  async transaction<T>(
    work: (open: OpenTransaction<PgClient>) => Promise<T>,
    { readCommitted = false, signal }: TransactionOptions = {},
  ): Promise<T> {
    const client = await this.#connect(signal);
    let isReleased = false;
    const release = (destroy: boolean) => {
      if (isReleased) return;
      isReleased = true;
      client.release(destroy);
    };
    const ask = (text: string) => answered(client.query(text), this.#answerMs);
    // Once its connection is closed, the client cannot write any more, whatever still holds it.
    const unsubscribe = signal && onAbort(signal, () => release(true));
    try {
      signal?.throwIfAborted();
      await ask(readCommitted ? 'begin isolation level read committed' : 'begin');
      const run = answering(sqlRunnerOf(client), this.#answerMs);
      const result = await raceAbort(work({ tx: client, run }), signal);
      const { command } = await ask('commit');
      if (command === 'ROLLBACK') throw new RolledBackError();
      release(false);
      return result;
    } catch (error) {
      if (!isReleased) {
        const isGone =
          error instanceof NoAnswerError ||
          (await ask('rollback').then(
            () => false,
            () => true,
          ));
        release(isGone);
      }
      throw error;
    } finally {
      unsubscribe?.();
    }
  }

  async #connect(signal: AbortSignal | undefined): Promise<PgClient> {
    const connecting = this.#pool.connect();
    try {
      return await raceAbort(connecting, signal);
    } catch (error) {
      // The client may come later: it is then returned unused.
      connecting.then(
        (client) => client.release(),
        () => {},
      );
      throw error;
    }
  }
}

/** For a library that begins, commits and rolls back by itself. */
class LibraryDatabase<Tx> implements Database<Tx> {
  readonly #transact: Transact;
  readonly #answerMs: number;

  constructor(transact: Transact, answerMs: number) {
    this.#transact = transact;
    this.#answerMs = answerMs;
  }

  async transaction<T>(
    work: (open: OpenTransaction<Tx>) => Promise<T>,
    { readCommitted = false, signal }: TransactionOptions = {},
  ): Promise<T> {
    let result: { readonly value: T } | undefined;
    // The library would wait for the answer to its ROLLBACK.
    const lost = deferred<never>();
    const transacted = this.#transact(async (tx) => {
      signal?.throwIfAborted();
      const run = answering(sqlRunnerOf(tx), this.#answerMs, lost.reject);
      if (readCommitted) await run('set transaction isolation level read committed', []);
      const value = await raceAbort(work({ tx: tx as Tx, run }), signal);
      // This fails if an earlier statement failed and the work continued: COMMIT would roll back, and not every library
      // reports that.
      await run('select 1 as ok', []);
      result = { value };
    });
    await Promise.race([transacted, lost.promise]);
    if (!result) throw new RolledBackError();
    return result.value;
  }
}

/** PostgreSQL has answered COMMIT with a rollback. */
class RolledBackError extends Error {
  constructor() {
    super('The transaction was rolled back: a statement in it had failed');
    this.name = 'RolledBackError';
  }
}

class NoAnswerError extends Error {
  constructor(answerMs: number) {
    super(`PostgreSQL did not answer within ${answerMs / 1_000} s`);
    this.name = 'NoAnswerError';
  }
}

function answered<T>(answer: Promise<T>, answerMs: number): Promise<T> {
  return withDeadline(systemClock, answer, answerMs, () => new NoAnswerError(answerMs));
}

/** Runs SQL with a limit on the time until the answer. */
function answering(run: RunSql, answerMs: number, onLost?: (error: NoAnswerError) => void): RunSql {
  return (...statement) =>
    answered(run(...statement), answerMs).catch((error: unknown) => {
      if (error instanceof NoAnswerError) onLost?.(error);
      throw error;
    });
}
