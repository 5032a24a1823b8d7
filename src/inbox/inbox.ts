/**
 * Records which messages were handled, in the transaction of their handler: so the effect that a handler has through `tx`
 * happens once. Made by `postgresInbox(db)` or `memoryInbox(db)`, and given to `broker.consumer(…)` as the option `inbox`.
 */
export interface Inbox<Tx> {
  /** The SQL that makes its table, one statement a string. Harmless when the table exists. */
  migrations(): string[];
  /** @internal */
  readonly engine: InboxEngine<Tx>;
}

/** What a consumer needs of an inbox. What rejects with a `ConfigurationError` will not mend itself. */
export interface InboxEngine<Tx> {
  /** How long a transaction may do nothing, in milliseconds, before the database ends it; undefined: its user decides. */
  readonly maxIdleMs: number | undefined;
  /** Looks whether the table is there, of the right version, and may be used. */
  check(): Promise<void>;
  /**
   * Begins a transaction, records the message in it, runs the work and commits. Where the message is recorded already, the work
   * does not run; where another transaction has recorded it and has not ended, it waits for that.
   *
   * Rejects with what the work rejects with, or with what the commit failed with: then everything is rolled back. Rejects
   * before the work began when the database cannot be reached.
   */
  run(
    entry: InboxEntry | undefined,
    options: InboxRunOptions,
    work: (tx: Tx) => Promise<void>,
  ): Promise<InboxResult>;
  /** Removes old records from time to time, until the function that it returns is called. */
  keepClean(): () => void;
}

/** A message, for an inbox. */
export interface InboxEntry {
  readonly queue: string;
  readonly id: string;
}

export interface InboxRunOptions {
  readonly maxIdleMs: number;
  /** Gives the transaction up. */
  readonly signal: AbortSignal;
}

/** `busy`: another run of it goes on; ask again. */
export type InboxResult = 'committed' | 'duplicate' | 'busy';
