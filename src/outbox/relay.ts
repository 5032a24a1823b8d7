import type { StoreStats, StuckRow } from './relay-store.js';

/** The options of `broker.relay(…)`. */
export interface RelayOptions {
  /** The source of database transactions: see `leveret/postgres`. */
  readonly db: object;
  /** The interval between two looks for committed rows, in milliseconds, 50 to 60 000. @defaultValue 500 */
  readonly pollMs?: number | undefined;
  /** The most rows that the relay holds at a time, 1 to 10 000. @defaultValue 200 */
  readonly batch?: number | undefined;
}

/** What a relay has done and what is waiting. `waiting`, `oldestMs` and `stuck` are at most 5 s old. */
export interface RelayStats extends StoreStats {
  /** Rows that this relay has sent. */
  readonly sent: number;
}

/**
 * The status of a relay. `starting`: it is looking for its table; `running`; `waiting`: the database is unreachable;
 * `closing`; `closed`; `failed`: it failed permanently.
 */
export type RelayStatus = 'starting' | 'running' | 'waiting' | 'closing' | 'closed' | 'failed';

/** A snapshot of one relay. */
export interface RelayHealth extends RelayStats {
  readonly table: string;
  readonly state: RelayStatus;
  /** Why the relay is not running; never contains a password. */
  readonly error: string | undefined;
}

/**
 * Sends the committed rows of an outbox, at least once each, and rows with the same key in order. Created by
 * `broker.relay(…)`; starts by itself. Run as many relays as you like, in any number of processes.
 */
export interface Relay extends AsyncDisposable {
  /**
   * Resolves when the relay has found its table; waits for the database as long as necessary. Rejects with a
   * `ConfigurationError`: SCHEMA_VERSION when the table is missing or has another version, INVALID_OPTION when a permission
   * is missing. Safe to ignore.
   */
  readonly ready: Promise<void>;
  /** Resolves when the relay is closed: with nothing, or with the error that ended it. Never rejects. */
  readonly closed: Promise<Error | undefined>;
  readonly stats: RelayStats;
  /**
   * Rows that cannot be sent in the present state of things, oldest first: those whose last error is permanent, and those of
   * a contract that is unknown to this relay's outbox.
   *
   * @param options - `limit`: the most rows, 1 to 10 000; 100 by default
   * @throws ConfigurationError for an unknown option or a value out of range; an error of the database is passed on unchanged
   */
  stuck(options?: { readonly limit?: number | undefined }): Promise<StuckRow[]>;
  /**
   * Removes a row that {@link Relay.stuck} lists: its message is lost. Resolves with false when there is none with this id.
   *
   * @throws ConfigurationError for an id that is not a string; an error of the database is passed on unchanged
   */
  discard(id: string): Promise<boolean>;
  /**
   * Takes no new batch and lets the current one finish; at the deadline, that one is rolled back (`clean: false`). Nothing is
   * sent after it has resolved. Every call returns the same promise; it never rejects.
   *
   * @param options - `timeoutMs`: in milliseconds, 0 or more, or `Infinity`; 30 000 by default
   * @throws ConfigurationError at once, for an unknown option or a value out of range
   */
  close(options?: { readonly timeoutMs?: number | undefined }): Promise<{ readonly clean: boolean }>;
}
