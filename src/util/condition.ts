import { type Deferred, deferred } from './promises.js';

/** A condition that callers wait for, and that can hold again and again: nothing in flight, or room for more. */
export class Condition {
  #deferred: Deferred<void> | undefined;

  /** True while a caller waits. */
  get isAwaited(): boolean {
    return this.#deferred !== undefined;
  }

  /** Resolves when the condition next holds. */
  wait(): Promise<void> {
    this.#deferred ??= deferred();
    return this.#deferred.promise;
  }

  /** Wakes everyone who waits. */
  notify(): void {
    this.#deferred?.resolve();
    this.#deferred = undefined;
  }
}
