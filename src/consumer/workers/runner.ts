import type { RunTrace } from '../../diagnostics/consume.js';
import { TimeoutError } from '../../errors.js';
import type { Clock } from '../../util/clock.js';
import { Condition } from '../../util/condition.js';
import { type Deadlined, Deadlines } from '../../util/deadlines.js';
import { isThenable } from '../../util/promises.js';
import { SlotList, type Slotted } from '../../util/slot-list.js';
import type { Session } from '../session/session.js';

/** The argument of a handler: a message, or a batch of them. */
export interface Runnable extends Deadlined, Slotted {
  /** The session that delivered it. */
  readonly session: Session | undefined;
  /** The trace of the handler's run, if it has a subscriber. */
  run: RunTrace | undefined;
  /** Aborts the signal that the handler has. */
  abort(reason: Error): void;
}

export interface RunnerSettings<T extends Runnable> {
  readonly handler: (item: T) => unknown;
  readonly handlerTimeoutMs: number;
  readonly clock: Clock;
  /** The handler is about to run. Returns the trace of the run, if it has a subscriber. */
  readonly onRun: (item: T) => RunTrace | undefined;
  readonly onSucceeded: (item: T) => void;
  /** The handler has thrown, or has not finished in time. */
  readonly onFailed: (item: T, error: unknown) => void;
  /** The item's place is free, whether its handler has returned or not. */
  readonly onLeft: (item: T) => void;
}

/** Runs a handler on many items at once, each with a deadline, and says how each run has ended. */
export class Runner<T extends Runnable> implements Iterable<T> {
  readonly #settings: RunnerSettings<T>;
  readonly #active = new SlotList<T>();
  readonly #deadlines: Deadlines<T>;
  readonly #idle = new Condition();

  constructor(settings: RunnerSettings<T>) {
    this.#settings = settings;
    this.#deadlines = new Deadlines(settings.clock, (item) => this.#timedOut(item));
  }

  /** The number of items that have a place. */
  get size(): number {
    return this.#active.size;
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#active[Symbol.iterator]();
  }

  /** Gives the item a place, which it keeps until it leaves. */
  add(item: T): void {
    this.#active.add(item);
  }

  /** Runs the handler on an item that has a place. */
  run(item: T): void {
    const { handler, onRun } = this.#settings;
    this.#limit(item);
    const run = onRun(item);
    item.run = run;
    let result: unknown;
    try {
      result = run ? run.run(() => handler(item)) : handler(item);
    } catch (error) {
      this.#failed(item, error);
      return;
    }
    if (!isThenable(result)) {
      this.#succeeded(item);
      return;
    }
    result.then(
      () => this.#succeeded(item),
      (error: unknown) => this.#failed(item, error),
    );
  }

  /** Runs the handler once the item is found valid. An asynchronous schema can hang just as a handler can. */
  async runOnceValid(item: T, isValid: Promise<boolean>): Promise<void> {
    this.#limit(item);
    const isRun = await isValid;
    this.#deadlines.remove(item);
    if (isRun && this.#active.has(item)) this.run(item);
    else this.leave(item);
  }

  /** Frees the item's place. */
  leave(item: T): void {
    if (!this.#active.delete(item)) return;
    this.#deadlines.remove(item);
    if (this.#active.size === 0) this.#idle.notify();
    this.#settings.onLeft(item);
  }

  /** The deliveries of a session are lost: aborts the work on them, and frees their places. */
  sessionLost(session: Session, reason: Error): void {
    for (const item of this.#active) if (item.session === session) this.#abandon(item, reason);
  }

  /** Resolves when no item has a place. */
  async idle(): Promise<void> {
    if (this.#active.size > 0) await this.#idle.wait();
  }

  /** Aborts the work on every item, and does not wait for it any longer. */
  abort(reason: Error): void {
    for (const item of this.#active) this.#abandon(item, reason);
    this.#deadlines.clear();
  }

  #limit(item: T): void {
    const { clock, handlerTimeoutMs } = this.#settings;
    this.#deadlines.add(item, clock.now() + handlerTimeoutMs);
  }

  #succeeded(item: T): void {
    item.run?.succeed();
    this.#settings.onSucceeded(item);
    this.leave(item);
  }

  #failed(item: T, error: unknown): void {
    item.run?.fail(error);
    this.#settings.onFailed(item, error);
    this.leave(item);
  }

  #timedOut(item: T): void {
    const error = new TimeoutError(`The handler did not finish within ${this.#settings.handlerTimeoutMs} ms`);
    item.run?.fail(error);
    this.#settings.onFailed(item, error);
    this.#abandon(item, error);
  }

  /** Frees the place of a handler that still runs; when it returns, its messages are already settled or stale. */
  #abandon(item: T, reason: Error): void {
    item.run?.fail(reason);
    this.leave(item);
    item.abort(reason);
  }
}
