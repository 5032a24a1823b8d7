import {
  type Check,
  checkOptions,
  expectFunction,
  expectInteger,
  expectNumber,
  expectSignal,
} from '../util/checks.js';
import type { DeadLetterEntry } from './entry.js';

/** The options of `deadLetters(…).list(…)`. */
export interface ListDeadLettersOptions {
  /** The most dead letters to list, oldest first, 1 to 100 000. All their bodies are held in memory. @defaultValue 100 */
  readonly limit?: number | undefined;
  /** Aborts the listing; `list` then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The progress of a replay. */
export interface ReplayProgress {
  /** Dead letters that were processed, whatever the outcome. */
  readonly done: number;
  /** Dead letters in the queue at the start, those of other queues included. */
  readonly total: number;
}

/** The options of `deadLetters(…).replay(…)`. */
export interface ReplayOptions<Body = unknown> {
  /** Ends the replay when this many are put back: 1 or more. Dead letters that stay do not count. @defaultValue all */
  readonly limit?: number | undefined;
  /**
   * Decides which dead letters to put back; the others stay. Called only for dead letters whose bodies match the schema. An
   * error that it throws ends the replay, and `replay` rejects with it.
   */
  readonly filter?: ((letter: DeadLetterEntry<Body>) => boolean | Promise<boolean>) | undefined;
  /** How many to put back per second, 0.01 to 100 000, evenly spread. @defaultValue no limit */
  readonly ratePerSecond?: number | undefined;
  /** Called after each dead letter. An error that it throws ends the replay, and `replay` rejects with it. */
  readonly onProgress?: ((progress: ReplayProgress) => void) | undefined;
  /** Ends the replay after the current dead letters; `replay` then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The result of a replay. */
export interface ReplayResult {
  /** Dead letters that were put back into their queue and removed here. */
  readonly replayed: number;
  /**
   * Dead letters that stay, because their bodies do not match the schema as it is today, or exceed the broker's
   * `maxBodyBytes`.
   */
  readonly invalid: number;
  /** Dead letters that stay, because the filter left them out. */
  readonly skipped: number;
}

const listChecks: Readonly<Record<string, Check>> = {
  limit: expectInteger(1, 100_000),
  signal: expectSignal,
};

const replayChecks: Readonly<Record<string, Check>> = {
  limit: expectInteger(1),
  filter: expectFunction,
  ratePerSecond: expectNumber(0.01, 100_000),
  onProgress: expectFunction,
  signal: expectSignal,
};

/** @throws ConfigurationError */
export function checkListOptions(options: unknown): void {
  checkOptions('deadLetters.list', options, listChecks);
}

/** @throws ConfigurationError */
export function checkReplayOptions(options: unknown): void {
  checkOptions('deadLetters.replay', options, replayChecks);
}
