import type { Clock } from '../util/clock.js';

/** The granularity of the times, in milliseconds. */
const TICK_MS = 50;

/** When failed rows are due again. Bounded, because times that are close to each other count as one. */
export class RetryTimes {
  readonly #clock: Clock;
  readonly #ticks = new Set<number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(delayMs: number): void {
    this.#ticks.add(Math.ceil((this.#clock.now() + delayMs) / TICK_MS) + 1);
  }

  /** The time until the next row is due, in milliseconds; `Infinity` without one. Forgets the past ones. */
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
