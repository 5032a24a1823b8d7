import type { Clock, Timer } from '../util/clock.js';

interface Armed extends Timer {
  readonly callback: () => void;
  readonly at: number;
}

/** The largest number below 1: every delay with jitter has its full length, so that a test knows when it ends. */
const ALMOST_ONE = 1 - Number.EPSILON;

/** A clock that only moves on demand. */
export class VirtualClock implements Clock {
  readonly #startedAt: number;
  /** The timers in the order in which they were set. */
  readonly #armed = new Set<Armed>();
  #now = 0;

  constructor(startedAt: number) {
    this.#startedAt = startedAt;
  }

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#startedAt + this.#now;
  }

  random(): number {
    return ALMOST_ONE;
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer: Armed = { callback, at: this.#now + Math.max(0, delayMs), unref: () => {} };
    this.#armed.add(timer);
    return timer;
  }

  clearTimeout(timer: Timer): void {
    this.#armed.delete(timer as Armed);
  }

  /** Moves to the next timer that is due by then and fires it. Returns false when there is none. */
  fireNext(until: number): boolean {
    let next: Armed | undefined;
    for (const timer of this.#armed) if (timer.at <= until && (!next || timer.at < next.at)) next = timer;
    if (!next) return false;
    this.#armed.delete(next);
    this.#now = Math.max(this.#now, next.at);
    next.callback();
    return true;
  }

  moveTo(time: number): void {
    this.#now = Math.max(this.#now, time);
  }
}
