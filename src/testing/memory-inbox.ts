import type { Inbox, InboxEngine, InboxEntry, InboxResult, InboxRunOptions } from '../inbox/inbox.js';
import { raceAbort } from '../util/clock.js';
import { checkMemoryDatabase, type MemoryDatabase, type MemoryTransaction } from './memory-database.js';

/**
 * An inbox in the memory of this process, for tests: with transactions of a {@link memoryDatabase}, it keeps what
 * `postgresInbox` promises, as long as the process lives.
 *
 * @throws ConfigurationError for anything but a memory database
 *
 * @example
 * ```ts
 * const db = memoryDatabase();
 * const mails: object[] = [];
 * broker.consumer(emails, ({ body }, tx) => tx.onCommit(() => mails.push(body)), { inbox: memoryInbox(db) });
 * ```
 */
export function memoryInbox(db: MemoryDatabase): Inbox<MemoryTransaction> {
  return { migrations: () => [], engine: new MemoryInbox(checkMemoryDatabase('memoryInbox', db)) };
}

/** The most messages that are remembered, which is enough for a test. */
const MAX_ENTRIES = 100_000;

/** The inbox behind {@link memoryInbox}. */
class MemoryInbox implements InboxEngine<MemoryTransaction> {
  readonly maxIdleMs = undefined;
  readonly #db: MemoryDatabase;
  readonly #recorded = new Set<string>();
  /** Runs that have not finished. */
  readonly #running = new Map<string, Promise<unknown>>();

  constructor(db: MemoryDatabase) {
    this.#db = db;
  }

  async check(): Promise<void> {}

  keepClean(): () => void {
    return () => {};
  }

  async run(
    entry: InboxEntry | undefined,
    { signal }: InboxRunOptions,
    work: (tx: MemoryTransaction) => Promise<void>,
  ): Promise<InboxResult> {
    if (!entry) {
      await this.#db.transaction((tx) => raceAbort(work(tx), signal));
      return 'committed';
    }
    const key = JSON.stringify([entry.queue, entry.id]);
    for (let other = this.#running.get(key); other; other = this.#running.get(key))
      await raceAbort(other, signal);
    if (this.#recorded.has(key)) return 'duplicate';
    const running = this.#db.transaction(async (tx) => {
      tx.onCommit(() => this.#record(key));
      await raceAbort(work(tx), signal);
    });
    const over = running.then(noop, noop).finally(() => this.#running.delete(key));
    this.#running.set(key, over);
    await running;
    await over;
    return 'committed';
  }

  #record(key: string): void {
    this.#recorded.add(key);
    const [oldest] = this.#recorded;
    if (this.#recorded.size > MAX_ENTRIES && oldest !== undefined) this.#recorded.delete(oldest);
  }
}

const noop = () => {};
