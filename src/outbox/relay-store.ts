import { splitErrorText } from '../messages/error-text.js';

/** A new row of an outbox. */
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

/** A row of an outbox that a relay has taken. */
export interface StoredRow extends NewRow {
  readonly id: string;
  /** How often sending the row has failed. */
  readonly attempts: number;
}

/** The outcome of a row in a batch. Rows that were not tried are not mentioned. */
export type RowOutcome =
  | { readonly kind: 'sent'; readonly id: string }
  | {
      readonly kind: 'failed';
      readonly id: string;
      /** The delay before the next attempt. */
      readonly delayMs: number;
      readonly isStuck: boolean;
      /** `CODE: message`. */
      readonly error: string;
    };

/** The conditions of a batch. */
export interface BatchRequest {
  /** The most rows. */
  readonly limit: number;
  /** The contracts that can be sent. */
  readonly contracts: readonly string[];
  /** How far the relay's clock is ahead of real time, in milliseconds: more than 0 only under a virtual clock. */
  readonly aheadMs: number;
  /** Abandons the batch: everything is rolled back. */
  readonly signal: AbortSignal;
}

/**
 * Sends the rows.
 *
 * @param takenAt - a moment (`performance.now()`) before they were taken, from which the batch's time limit counts
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

/** A row that cannot be sent in the present state of things. */
export interface StuckRow {
  readonly id: string;
  readonly messageId: string;
  /** Such as `queue:emails`. */
  readonly contract: string;
  /** How often sending the row has failed. */
  readonly attempts: number;
  readonly createdAt: Date;
  /** The last failure; `UNKNOWN_CONTRACT` for a row of a contract that this relay's outbox lacks. */
  readonly error: { readonly code: string; readonly message: string };
}

/**
 * The table of an outbox. A rejection with a `ConfigurationError` is permanent; with any other error, the database is
 * unreachable now. An aborted signal abandons the call.
 */
export interface RelayStore {
  /** The name of the table. */
  readonly table: string;
  /** The shortest interval between two reads of its counters, in milliseconds. */
  readonly statsEveryMs: number;
  /** Checks that the table exists, has the right version, and may be used. */
  check(signal: AbortSignal): Promise<void>;
  /**
   * Takes due rows, in order, so that no other relay has a row of the same key at the same time. The outcomes that `work`
   * resolves with are stored; if it rejects, or the signal aborts, the rows stay unchanged. Resolves with the number of rows
   * taken.
   */
  batch(request: BatchRequest, work: BatchWork): Promise<number>;
  stats(contracts: readonly string[], signal: AbortSignal): Promise<StoreStats>;
  /** Oldest first. */
  stuck(contracts: readonly string[], limit: number): Promise<StuckRow[]>;
  /** Removes a row that {@link stuck} would list. */
  discard(contracts: readonly string[], id: string): Promise<boolean>;
}

/** The error of a row whose contract is unknown to the relay's outbox. */
export function unknownContract(contract: string): StuckRow['error'] {
  return { code: 'UNKNOWN_CONTRACT', message: `The outbox of this relay has no contract '${contract}'` };
}

/** The two parts of an `error` column. */
export function splitError(error: string): StuckRow['error'] {
  return splitErrorText(error, error);
}
