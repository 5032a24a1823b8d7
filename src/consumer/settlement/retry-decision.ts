import type { RetryPolicy } from '../../contracts/types.js';
import { MAX_DELAY_MS } from '../../util/limits.js';
import { isThenable } from '../../util/promises.js';
import { isGivenUp, isRetryLater } from '../thrown-verdicts.js';

/** The policy's decision about a failed run. */
export type Decision =
  | { readonly kind: 'retry'; readonly delayMs: number }
  | { readonly kind: 'dead-letter'; readonly because: string };

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
  const asked = delayMs ?? (isRetryLater(error) ? error.delayMs : undefined);
  if (asked !== undefined) return { kind: 'retry', delayMs: asked };
  if (policy.retryIf && !isRetryLater(error) && !mayRetry(policy.retryIf, error, message)) {
    return { kind: 'dead-letter', because: "'retryIf' refused another attempt" };
  }
  const full = Math.min(
    MAX_DELAY_MS,
    policy.maxDelayMs,
    policy.initialDelayMs * Math.min(policy.factor ** Math.max(0, message.attempt - 1), Number.MAX_VALUE),
  );
  return { kind: 'retry', delayMs: policy.jitter ? Math.floor(random() * full) : full };
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
