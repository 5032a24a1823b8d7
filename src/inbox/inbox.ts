/**
 * Records handled messages in the transaction of their handler, so that what a handler writes through `tx` takes effect once.
 * Created by `postgresInbox(db)` or `memoryInbox(db)`, and passed to `broker.consumer(…)` as the option `inbox`.
 */
export interface Inbox<Tx> {
  /** The SQL that creates the table, one statement per string. Harmless if the table exists. */
  migrations(): string[];
  /** @internal */
  readonly engine: InboxEngine<Tx>;
}

/** The part of an inbox that a consumer uses. A rejection with a `ConfigurationError` is permanent. */
export interface InboxEngine<Tx> {
  /** How long a transaction may be idle, in milliseconds, before the database ends it; undefined: the user decides. */
  readonly maxIdleMs: number | undefined;
  /** Checks that the table exists, has the right version, and may be used. */
  check(): Promise<void>;
  /**
   * Begins a transaction, records the message in it, runs the work and commits. If the message is recorded already, the work
   * does not run; if another open transaction has recorded it, the call waits for that transaction.
   *
   * Rejects with the error of the work, or of the commit: everything is then rolled back. Rejects before the work begins if
   * the database is unreachable.
   */
  run(
    entry: InboxEntry | undefined,
    options: InboxRunOptions,
    work: (tx: Tx) => Promise<void>,
  ): Promise<InboxResult>;
  /** Removes old records from time to time, until the returned function is called. */
  keepClean(): () => void;
}

/** A message to record. */
export interface InboxEntry {
  readonly queue: string;
  readonly id: string;
}

export interface InboxRunOptions {
  readonly maxIdleMs: number;
  /** Abandons the transaction. */
  readonly signal: AbortSignal;
}

/** `busy`: another run of the message is in progress; ask again. */
export type InboxResult = 'committed' | 'duplicate' | 'busy';
