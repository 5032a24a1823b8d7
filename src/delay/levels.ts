/**
 * A delay is a base-4 number that counts units of 62.5 ms. Each digit other than 0 is one wait in a queue: base 2 would need
 * fewer queues, but up to twice as many waits, each of which costs time.
 */
const UNIT_MS = 62.5;
const BASE_BITS = 2;

/** One digit of a delay. */
export interface Level {
  /** The name of the level's exchange and header: the time of its digit 1. */
  readonly label: string;
  /** One for each of the digits 1, 2 and 3. */
  readonly queues: readonly DelayQueue[];
}

/** A queue in which every message waits for the same time. */
export interface DelayQueue {
  readonly digit: number;
  readonly ttlMs: number;
  readonly label: string;
}

/** From 63 ms up: 14 digits hold 60 days. A delay of 1, 2, 3, 4, 8, 12, 16 … seconds is one wait. */
export const LEVELS: readonly Level[] = Array.from({ length: 14 }, (_, at) => {
  const queues = [1, 2, 3].map((digit) => {
    // Half a millisecond is rounded up: a delay is never early.
    const ttlMs = Math.ceil(UNIT_MS * digit * 2 ** (BASE_BITS * at));
    return { digit, ttlMs, label: ttlMs < 1_000 ? `${ttlMs}ms` : `${ttlMs / 1_000}s` };
  });
  return { label: (queues[0] as DelayQueue).label, queues };
});

/**
 * A delay in units: at least as long, and less than 63 ms longer. 0 is no delay.
 *
 * @param delayMs - at most `MAX_DELAY_MS`
 */
export function unitsOf(delayMs: number): number {
  return Math.max(0, Math.ceil(delayMs / UNIT_MS));
}

/** The number of levels that a delay has, from the lowest one to that of its first digit other than 0. */
export function levelCountOf(units: number): number {
  return Math.ceil((32 - Math.clz32(units)) / BASE_BITS);
}

/** The digit of a delay at a level. */
export function digitAt(units: number, at: number): number {
  return (units >>> (BASE_BITS * at)) & (2 ** BASE_BITS - 1);
}
