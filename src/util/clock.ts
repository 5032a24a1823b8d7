import { onAbort } from './on-abort.js';
import { realTimers } from './timers.js';

/** Time and randomness, injected so that tests and the embedded broker can control them. */

/** An armed timer. */
export interface Timer {
  /** Lets the process exit while the timer is armed. */
  unref(): unknown;
}

/** The source of time and randomness for all of Leveret. */
export interface Clock {
  /** Milliseconds on a monotonic clock. */
  now(): number;
  /** Milliseconds since 1970. */
  wallNow(): number;
  setTimeout(callback: () => void, delayMs: number): Timer;
  clearTimeout(timer: Timer): void;
  /** A number in [0, 1). */
  random(): number;
}

/** The computer's own clock. */
export const systemClock: Clock = {
  now: realTimers.now,
  wallNow: () => Date.now(),
  setTimeout: (callback, delayMs) => realTimers.setTimeout(callback, Math.min(delayMs, MAX_TIMER_MS)),
  clearTimeout: (timer) => realTimers.clearTimeout(timer as NodeJS.Timeout),
  random: () => Math.random(),
};

/** The longest delay that Node's timers support: longer ones fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Resolves after `delayMs`, or as soon as the signal aborts. Never rejects. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clock.clearTimeout(timer);
      unsubscribe();
      resolve();
    };
    const timer = clock.setTimeout(done, delayMs);
    const unsubscribe = onAbort(signal, done);
  });
}

/**
 * Settles as `promise` does, or rejects with the result of `onTimeout` once `timeoutMs` have passed. A later outcome of the
 * promise is then ignored. `Infinity` never times out.
 */
export function withDeadline<T>(
  clock: Clock,
  promise: PromiseLike<T>,
  timeoutMs: number,
  onTimeout: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer =
      timeoutMs === Number.POSITIVE_INFINITY
        ? undefined
        : clock.setTimeout(() => reject(onTimeout()), Math.max(0, timeoutMs));
    const clear = () => timer && clock.clearTimeout(timer);
    promise.then(
      (value) => {
        clear();
        resolve(value);
      },
      (error: unknown) => {
        clear();
        reject(error as Error);
      },
    );
  });
}

/** Settles as `promise` does, or rejects with the signal's reason if the signal aborts first. */
export function raceAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    const unsubscribe = onAbort(signal, abort);
    if (signal.aborted) abort();
    // Also after an abort, so that a late rejection of the promise is always handled.
    promise.then(resolve, reject).finally(unsubscribe);
  });
}
