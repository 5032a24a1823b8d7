import type { RetryPolicy } from '../../contracts/types.js';
import { type Check, checkOptions, expectNumber } from '../../util/checks.js';
import { MAX_DELAY_MS } from '../../util/limits.js';
import { isThenable } from '../../util/promises.js';

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

/** The policy's decision about a failed run. */
export type Decision =
  | { readonly kind: 'retry'; readonly delayMs: number }
  | { readonly kind: 'dead-letter'; readonly because: string };

/** @internal */
export const retryLaterChecks: Readonly<Record<string, Check>> = {
  delayMs: expectNumber(0, MAX_DELAY_MS),
  cause: () => undefined,
};

/**
 * Decides what happens to a message whose handler failed, or asked for another attempt.
 *
 * @param delayMs - the requested delay; undefined: the policy's own
 */
export function decide(
  policy: RetryPolicy,
  message: { readonly id: string | undefined; readonly attempt: number },
  error: unknown,
  delayMs: number | undefined,
  random: () => number,
): Decision {
  if (isGivenUp(error)) return { kind: 'dead-letter', because: 'the handler gave up on it' };
  if (message.attempt >= policy.attempts) {
    return { kind: 'dead-letter', because: `attempt ${message.attempt} of ${policy.attempts} failed` };
  }
  const asked = delayMs ?? (has(error, RETRY_LATER) ? (error as RetryLater).delayMs : undefined);
  if (asked !== undefined) return { kind: 'retry', delayMs: asked };
  if (policy.retryIf && !has(error, RETRY_LATER) && !mayRetry(policy.retryIf, error, message)) {
    return { kind: 'dead-letter', because: "'retryIf' refused another attempt" };
  }
  const full = Math.min(
    MAX_DELAY_MS,
    policy.maxDelayMs,
    policy.initialDelayMs * Math.min(policy.factor ** Math.max(0, message.attempt - 1), Number.MAX_VALUE),
  );
  return { kind: 'retry', delayMs: policy.jitter ? Math.floor(random() * full) : full };
}

/** True for a {@link DeadLetter}. */
export function isGivenUp(error: unknown): boolean {
  return has(error, DEAD_LETTER);
}

/** True for a {@link DeadLetter} and for a {@link RetryLater}: both are thrown to say what should happen to the message. */
export function isThrownVerdict(error: unknown): boolean {
  return has(error, DEAD_LETTER) || has(error, RETRY_LATER);
}

/** A `retryIf` that throws has not said no. */
function mayRetry(
  retryIf: NonNullable<RetryPolicy['retryIf']>,
  error: unknown,
  message: { readonly id: string | undefined; readonly attempt: number },
): boolean {
  try {
    const answer: unknown = retryIf(error, message);
    if (!isThenable(answer)) return Boolean(answer);
    // `retryIf` should have answered synchronously. Its promise is not awaited, and its rejection must not end the process.
    answer.then(undefined, () => {});
    return true;
  } catch {
    return true;
  }
}

/** A handler may throw a proxy whose traps throw. */
function has(error: unknown, brand: symbol): boolean {
  try {
    return typeof error === 'object' && error !== null && brand in error;
  } catch {
    return false;
  }
}
