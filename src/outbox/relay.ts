import type { StoreStats, StuckRow } from './relay-store.js';

/** The options of `broker.relay(…)`. */
export interface RelayOptions {
  /** What gives transactions on the database: see `leveret/postgres`. */
  readonly db: object;
  /** How often it looks for committed rows, in milliseconds, 50 to 60 000. @defaultValue 500 */
  readonly pollMs?: number | undefined;
  /** The most rows that it holds at a time, 1 to 10 000. @defaultValue 200 */
  readonly batch?: number | undefined;
}

/** What a relay has done and what waits. `waiting`, `oldestMs` and `stuck` are at most 5 s old. */
export interface RelayStats extends StoreStats {
  /** Rows that this relay has sent. */
  readonly sent: number;
}

/**
 * What a relay is doing. `starting`: it looks for its table; `running`; `waiting`: the database cannot be reached; `closing`;
 * `closed`; `failed`: it cannot go on.
 */
export type RelayStatus = 'starting' | 'running' | 'waiting' | 'closing' | 'closed' | 'failed';

/** How one relay is. */
export interface RelayHealth extends RelayStats {
  readonly table: string;
  readonly state: RelayStatus;
  /** Why it does not run; never with a password. */
  readonly error: string | undefined;
}

/**
 * Sends the committed rows of an outbox, at least once each, those with one key in order. Made by `broker.relay(…)`; starts by
 * itself. Run as many as you like, in any number of processes.
 */
export interface Relay extends AsyncDisposable {
  /**
   * Resolves when it has found its table; waits for the database as long as it takes. Rejects with a `ConfigurationError`:
   * SCHEMA_VERSION when the table is missing or of another version, INVALID_OPTION when a right is missing. Need not be awaited.
   */
  readonly ready: Promise<void>;
  /** Resolves when it is closed: with nothing, or with the error that ended it. Never rejects. */
  readonly closed: Promise<Error | undefined>;
  readonly stats: RelayStats;
  /**
   * Rows that cannot be sent as things are, oldest first: those whose last error will not mend itself, and those of a
   * contract that the outbox of this relay lacks.
   *
   * @param options - `limit`: the most rows, 1 to 10 000; 100 by default
   */
  stuck(options?: { readonly limit?: number | undefined }): Promise<StuckRow[]>;
  /** Removes a row that {@link Relay.stuck} would list. False when there is none with this id. The message is lost. */
  discard(id: string): Promise<boolean>;
  /**
   * Takes no new batch and lets the one in hand end; at the deadline, that one is rolled back (`clean: false`). Once it has
   * resolved, nothing more is sent. The same promise each time; never rejects.
   *
   * @param options - `timeoutMs`: 0 or more, or `Infinity`; 30 000 by default
   * @throws ConfigurationError at once, for an unknown option or a value out of range
   */
  close(options?: { readonly timeoutMs?: number | undefined }): Promise<{ readonly clean: boolean }>;
}
