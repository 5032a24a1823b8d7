/** A row of an outbox, as it is inserted. */
export interface NewRow {
  readonly messageId: string;
  /** Such as `queue:emails`. */
  readonly contract: string;
  readonly key: string | undefined;
  readonly body: Buffer;
  /** Everything else about the message: see {@link Envelope}. */
  readonly envelope: string;
  /** In how many milliseconds it is to be delivered; undefined: at once. */
  readonly dueInMs: number | undefined;
}

/** A row of an outbox, as a relay takes it. */
export interface StoredRow extends NewRow {
  readonly id: string;
  /** How often sending it has failed. */
  readonly attempts: number;
}

/** What became of a row in a batch. Rows that were not tried are not mentioned. */
export type RowOutcome =
  | { readonly kind: 'sent'; readonly id: string }
  | {
      readonly kind: 'failed';
      readonly id: string;
      /** When it is tried again. */
      readonly delayMs: number;
      readonly isStuck: boolean;
      /** `CODE: message`. */
      readonly error: string;
    };

/** What a relay asks for. */
export interface BatchRequest {
  /** The most rows. */
  readonly limit: number;
  /** The contracts that can be sent. */
  readonly contracts: readonly string[];
  /** How far the relay's clock is ahead of real time, in milliseconds: more than 0 only under a virtual clock. */
  readonly aheadMs: number;
  /** Gives the batch up: everything is rolled back. */
  readonly signal: AbortSignal;
}

/**
 * Sends the rows.
 *
 * @param takenAt - a moment (`performance.now()`) before they were taken, from which on the batch may take only so long
 */
export type BatchWork = (rows: readonly StoredRow[], takenAt: number) => Promise<readonly RowOutcome[]>;

/** Counters of a table. */
export interface StoreStats {
  /** Committed rows, counted up to 100 000. */
  readonly waiting: number;
  /** How long the oldest of them has waited. */
  readonly oldestMs: number;
  /** How many of them `stuck()` lists. */
  readonly stuck: number;
}

/** A row that cannot be sent as things are. */
export interface StuckRow {
  readonly id: string;
  readonly messageId: string;
  /** Such as `queue:emails`. */
  readonly contract: string;
  /** How often sending it has failed. */
  readonly attempts: number;
  readonly createdAt: Date;
  /** The last failure; `UNKNOWN_CONTRACT` for a row of a contract that this relay's outbox lacks. */
  readonly error: { readonly code: string; readonly message: string };
}

/**
 * The table of an outbox. What rejects with a `ConfigurationError` will not mend itself; with anything else, the database
 * cannot be reached now.
 */
export interface RelayStore {
  /** How the table is called. */
  readonly table: string;
  /** How often its counters may be asked for, in milliseconds. */
  readonly statsEveryMs: number;
  /** Looks whether the table is there, of the right version, and may be used. */
  check(): Promise<void>;
  /**
   * Takes rows that are due, in order, so that no other relay has a row of the same key at the same time. What `work` resolves
   * with is written down; when it rejects, or the signal aborts, the rows are as they were. Resolves with the number taken.
   */
  batch(request: BatchRequest, work: BatchWork): Promise<number>;
  stats(contracts: readonly string[]): Promise<StoreStats>;
  /** Oldest first. */
  stuck(contracts: readonly string[], limit: number): Promise<StuckRow[]>;
  /** Removes a row that {@link stuck} would list. */
  discard(contracts: readonly string[], id: string): Promise<boolean>;
}

/** The error of a row whose contract the relay's outbox lacks. */
export function unknownContract(contract: string): StuckRow['error'] {
  return { code: 'UNKNOWN_CONTRACT', message: `The outbox of this relay has no contract '${contract}'` };
}

/** The two parts of an `error` column. */
export function splitError(error: string): StuckRow['error'] {
  const at = error.indexOf(': ');
  return at < 0
    ? { code: error, message: error }
    : { code: error.slice(0, at), message: error.slice(at + 2) };
}
