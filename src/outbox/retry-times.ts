import type { Clock } from '../util/clock.js';

/** How coarse the times are, in milliseconds. */
const TICK_MS = 50;

/** When rows that failed are due again. Bounded: times that are close to each other count as one. */
export class RetryTimes {
  readonly #clock: Clock;
  readonly #ticks = new Set<number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(delayMs: number): void {
    this.#ticks.add(Math.ceil((this.#clock.now() + delayMs) / TICK_MS) + 1);
  }

  /** In how many milliseconds the next one is due; `Infinity` without one. Forgets those that have passed. */
  nextInMs(): number {
    const now = this.#clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const tick of this.#ticks) {
      const inMs = tick * TICK_MS - now;
      if (inMs <= 0) this.#ticks.delete(tick);
      else next = Math.min(next, inMs);
    }
    return next;
  }
}
