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
  /** How many at most, the oldest first, 1 to 100 000. Their bodies are all held in memory. @defaultValue 100 */
  readonly limit?: number | undefined;
  /** Ends the look; `list` then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** How far a replay is. */
export interface ReplayProgress {
  /** Letters that have been gone over, whatever became of them. */
  readonly done: number;
  /** Letters that the dead-letter queue held at the start, those of other queues included. */
  readonly total: number;
}

/** The options of `deadLetters(…).replay(…)`. */
export interface ReplayOptions<Body = unknown> {
  /** Ends the replay when so many are put back: 1 or more. Letters that stay do not count. @defaultValue all */
  readonly limit?: number | undefined;
  /**
   * Says which ones to put back; the others stay. Only asked about letters whose bodies fit the schema. What it throws ends the
   * replay, and is what `replay` rejects with.
   */
  readonly filter?: ((letter: DeadLetterEntry<Body>) => boolean | Promise<boolean>) | undefined;
  /** How many to put back in a second, 0.01 to 100 000, evenly spread. @defaultValue as fast as it goes */
  readonly ratePerSecond?: number | undefined;
  /** Called after each letter. What it throws ends the replay, and is what `replay` rejects with. */
  readonly onProgress?: ((progress: ReplayProgress) => void) | undefined;
  /** Ends the replay after the letters in hand; `replay` then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** What became of the letters that a replay went over. */
export interface ReplayResult {
  /** Put back into their queue, and removed from the dead letters. */
  readonly replayed: number;
  /** Stay, since their bodies do not fit the schema as it is today, or are larger than `maxBodyBytes` of the broker. */
  readonly invalid: number;
  /** Stay, since the filter left them out. */
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
