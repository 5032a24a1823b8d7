import type { Verdict } from './verdict.js';

/**
 * Keeps the verdict on a message until what is around its handler is over: a transaction is committed or rolled back before
 * the message is settled.
 *
 * | state     | begin   | ack                      | other verdict            | failure                  |
 * |-----------|---------|--------------------------|--------------------------|--------------------------|
 * | waiting   | running | decided: give it back    | decided: give it back    | decided: give it back    |
 * | running   |         | acknowledged             | decided                  | decided                  |
 * | acknowledged |      |                          |                          | decided                  |
 * | decided   |         |                          |                          |                          |
 */
export class DeferredVerdict {
  #state: 'waiting' | 'running' | 'acknowledged' | 'decided' = 'waiting';
  #hasBegun = false;
  #verdict: Verdict | undefined;

  /** The handler runs, or has run. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** What is to become of the message, when it is not to be acknowledged. */
  get verdict(): Verdict | undefined {
    return this.#verdict;
  }

  /** The handler is about to run. */
  begin(): void {
    this.#hasBegun = true;
    if (this.#state === 'waiting') this.#state = 'running';
  }

  /** The first verdict counts. Returns false for a later one. */
  take(verdict: Verdict): boolean {
    if (this.#state === 'waiting') return this.#decide({ kind: 'requeue' });
    if (this.#state !== 'running') return false;
    if (verdict.kind !== 'ack') return this.#decide(verdict);
    this.#state = 'acknowledged';
    return true;
  }

  /** The handler has failed. That also counts after `ack()`, which has had no effect yet. */
  fail(error: unknown): boolean {
    if (this.#state === 'decided') return false;
    return this.#decide(this.#hasBegun ? { kind: 'retry', error } : { kind: 'requeue' });
  }

  #decide(verdict: Verdict): true {
    this.#state = 'decided';
    this.#verdict = verdict;
    return true;
  }
}
