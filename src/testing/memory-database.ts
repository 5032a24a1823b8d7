import { ConfigurationError } from '../errors.js';
import { show } from '../util/checks.js';

/** A transaction of a {@link MemoryDatabase}. */
export interface MemoryTransaction {
  /** Runs the function at the commit, in the order of the calls, and never after a rollback. */
  onCommit(run: () => unknown): void;
  /** A savepoint: the changes inside are undone when the work rejects. */
  transaction<T>(work: (tx: MemoryTransaction) => Promise<T> | T): Promise<T>;
}

/** A `db` without SQL, for tests. Created by {@link memoryDatabase}. */
export interface MemoryDatabase {
  /** Commits when the work resolves, rolls back when it rejects. */
  transaction<T>(work: (tx: MemoryTransaction) => Promise<T> | T): Promise<T>;
}

/**
 * A `db` without SQL: it has transactions, and nothing in them but what `onCommit` runs.
 *
 * @example
 * ```ts
 * const db = memoryDatabase();
 * const outbox = memoryOutbox([emails]);
 * const users: object[] = [];
 * await db.transaction(async (tx) => {
 *   tx.onCommit(() => users.push(user));
 *   await outbox.send(tx, emails, { to: user.email, subject: 'Welcome' });
 * });
 * ```
 */
export function memoryDatabase(): MemoryDatabase {
  return Object.freeze({ [BRAND]: true, transaction: begin });
}

const BRAND = Symbol.for('leveret.memory-database');

/** The open transactions, including those of other copies of the package: each is branded. */
class OpenTransaction implements MemoryTransaction {
  readonly [BRAND] = true;
  readonly #onCommit: (() => unknown)[] = [];
  #isOpen = true;

  get isOpen(): boolean {
    return this.#isOpen;
  }

  onCommit(run: () => unknown): void {
    this.#checkOpen();
    if (typeof run !== 'function')
      throw new ConfigurationError('run', `tx.onCommit: expected a function, got ${show(run)}`);
    this.#onCommit.push(run);
  }

  async transaction<T>(work: (tx: MemoryTransaction) => Promise<T> | T): Promise<T> {
    this.#checkOpen();
    const nested = new OpenTransaction();
    const result = await nested.run(work);
    this.#checkOpen();
    this.#onCommit.push(...nested.end());
    return result;
  }

  /** Rolls back when the work rejects. */
  async run<T>(work: (tx: MemoryTransaction) => Promise<T> | T): Promise<T> {
    try {
      return await work(this);
    } catch (error) {
      this.#isOpen = false;
      throw error;
    }
  }

  /** Ends the transaction and returns the functions to run now. */
  end(): readonly (() => unknown)[] {
    this.#isOpen = false;
    return this.#onCommit;
  }

  #checkOpen(): void {
    if (!this.#isOpen) throw new ConfigurationError('tx', "option 'tx': the transaction is over");
  }
}

async function begin<T>(work: (tx: MemoryTransaction) => Promise<T> | T): Promise<T> {
  const tx = new OpenTransaction();
  const result = await tx.run(work);
  for (const run of tx.end()) await run();
  return result;
}

/**
 * @internal
 * @throws ConfigurationError for anything but an open transaction of a memory database
 */
export function checkMemoryTransaction(tx: unknown): MemoryTransaction {
  const isOurs = typeof tx === 'object' && tx !== null && BRAND in tx && 'isOpen' in tx;
  const expected = 'an open transaction of a memoryDatabase()';
  if (!isOurs) throw new ConfigurationError('tx', `option 'tx' must be ${expected}, got ${show(tx)}`);
  if (tx.isOpen !== true) throw new ConfigurationError('tx', "option 'tx': the transaction is over");
  return tx as unknown as MemoryTransaction;
}

/**
 * @internal
 * @throws ConfigurationError for anything but a memory database
 */
export function checkMemoryDatabase(where: string, db: unknown): MemoryDatabase {
  const isOurs = typeof db === 'object' && db !== null && BRAND in db && !('isOpen' in db);
  if (isOurs) return db as unknown as MemoryDatabase;
  throw new ConfigurationError('db', `${where}: option 'db' must be a memoryDatabase(), got ${show(db)}`);
}
