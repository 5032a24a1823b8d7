import { type Check, checkOptions, expectNumber } from '../util/checks.js';
import { MAX_DELAY_MS } from '../util/limits.js';

const DEAD_LETTER = Symbol.for('leveret.dead-letter');
const RETRY_LATER = Symbol.for('leveret.retry-later');

/**
 * Thrown from a handler, at any depth: no further attempt makes sense, the message goes to the dead-letter queue.
 *
 * @example
 * ```ts
 * if (!customer) throw new DeadLetter('unknown customer');
 * ```
 */
export class DeadLetter extends Error {
  /**
   * @param reason - the reason that the dead letter carries
   * @param options - `cause`: the underlying error, which stays in this process
   */
  constructor(reason = 'The handler gave up on the message', options?: { readonly cause?: unknown }) {
    super(reason, options);
    this.name = 'DeadLetter';
    Object.defineProperty(this, DEAD_LETTER, { value: true });
  }
}

/** Thrown from a handler, at any depth: retries the message after a delay of the handler's choice. */
export class RetryLater extends Error {
  /** In milliseconds; undefined: the delay of the retry policy. */
  readonly delayMs: number | undefined;

  /**
   * @param options - `delayMs`: the delay, 0 to 5 184 000 000 (60 days)
   * @throws ConfigurationError for a delay out of range
   */
  constructor(options: { readonly delayMs?: number | undefined; readonly cause?: unknown } = {}) {
    checkOptions('RetryLater', options, retryLaterChecks);
    super('The handler asked for another attempt', options);
    this.name = 'RetryLater';
    this.delayMs = options.delayMs;
    Object.defineProperty(this, RETRY_LATER, { value: true });
  }
}

/** @internal */
export const retryLaterChecks: Readonly<Record<string, Check>> = {
  delayMs: expectNumber(0, MAX_DELAY_MS),
  cause: () => undefined,
};

/** True for a {@link DeadLetter}. */
export function isGivenUp(error: unknown): boolean {
  return has(error, DEAD_LETTER);
}

/** True for a {@link RetryLater}. */
export function isRetryLater(error: unknown): error is RetryLater {
  return has(error, RETRY_LATER);
}

/** True for a {@link DeadLetter} and for a {@link RetryLater}: both are thrown to say what should happen to the message. */
export function isThrownVerdict(error: unknown): boolean {
  return isGivenUp(error) || isRetryLater(error);
}

/** A handler may throw a proxy whose traps throw. */
function has(error: unknown, brand: symbol): boolean {
  try {
    return typeof error === 'object' && error !== null && brand in error;
  } catch {
    return false;
  }
}
