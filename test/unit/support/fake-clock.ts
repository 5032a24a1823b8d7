import type { Clock, Timer } from '../../../src/util/clock.js';

interface FakeTimer extends Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** A clock that only moves when it is told to. */
export class FakeClock implements Clock {
  readonly #timers = new Set<FakeTimer>();
  #now = 1_234.5;
  #wallNow = Date.UTC(2030, 0, 1);
  #unrefs = 0;

  /** What {@link Clock.random} gives next, and from then on. */
  chance = 0.5;

  readonly random = (): number => this.chance;

  /** Timers that are armed. */
  get armed(): number {
    return this.#timers.size;
  }

  /** Timers that were allowed not to keep the process alive. */
  get unrefs(): number {
    return this.#unrefs;
  }

  /** How long the next timer still has to wait. */
  get nextInMs(): number | undefined {
    const next = this.#next();
    return next && next.at - this.#now;
  }

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#wallNow;
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer = { at: this.#now + Math.max(0, delayMs), callback, unref: () => this.#unrefs++ };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: Timer): void {
    this.#timers.delete(timer as FakeTimer);
  }

  /** Lets time pass in one go: every timer that is due fires at its own time. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let next = this.#next(); next && next.at <= end; next = this.#next()) this.#fire(next);
    this.#moveTo(end);
  }

  /** The same, and after each timer everything that waits for it may go on. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    await turn();
    for (let next = this.#next(); next && next.at <= end; next = this.#next()) {
      this.#fire(next);
      await turn();
    }
    this.#moveTo(end);
  }

  #next(): FakeTimer | undefined {
    let next: FakeTimer | undefined;
    for (const timer of this.#timers) if (!next || timer.at < next.at) next = timer;
    return next;
  }

  #fire(timer: FakeTimer): void {
    this.#timers.delete(timer);
    this.#moveTo(Math.max(this.#now, timer.at));
    timer.callback();
  }

  #moveTo(now: number): void {
    this.#wallNow += now - this.#now;
    this.#now = now;
  }
}

/** Lets every promise that can settle do so: no time passes, the event loop goes round once. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
