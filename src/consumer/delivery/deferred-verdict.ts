import type { Verdict } from './verdict.js';

/**
 * Keeps the verdict on a message until the guard around its handler has ended: a transaction is committed or rolled back before
 * the message is settled.
 *
 * | state        | begin   | ack          | other verdict | failure    |
 * |--------------|---------|--------------|---------------|------------|
 * | waiting      | running | given back   | given back    | given back |
 * | given back   | decided |              |               |            |
 * | running      |         | acknowledged | decided       | decided    |
 * | acknowledged |         |              |               | decided    |
 * | decided      |         |              |               |            |
 *
 * An empty cell changes nothing. A message that is given back before its handler has begun is requeued.
 */
export class DeferredVerdict {
  #state: 'waiting' | 'given-back' | 'running' | 'acknowledged' | 'decided' = 'waiting';
  #verdict: Verdict | undefined;

  /** True when the handler runs, or has run. */
  get hasBegun(): boolean {
    return this.#state !== 'waiting' && this.#state !== 'given-back';
  }

  /** The verdict; undefined for an acknowledgement, and as long as there is none. */
  get verdict(): Verdict | undefined {
    return this.#verdict;
  }

  /** The handler is about to run. */
  begin(): void {
    if (this.#state === 'waiting') this.#state = 'running';
    else if (this.#state === 'given-back') this.#state = 'decided';
  }

  /** The first verdict counts. Returns false for a later one. */
  take(verdict: Verdict): boolean {
    if (this.#state === 'waiting') return this.#become('given-back', { kind: 'requeue' });
    if (this.#state !== 'running') return false;
    if (verdict.kind !== 'ack') return this.#become('decided', verdict);
    return this.#become('acknowledged', undefined);
  }

  /** The handler has failed. That also counts after `ack()`, which has had no effect yet. */
  fail(error: unknown): boolean {
    if (this.#state === 'waiting') return this.#become('given-back', { kind: 'requeue' });
    if (this.#state !== 'running' && this.#state !== 'acknowledged') return false;
    return this.#become('decided', { kind: 'retry', error });
  }

  #become(state: 'given-back' | 'acknowledged' | 'decided', verdict: Verdict | undefined): true {
    this.#state = state;
    this.#verdict = verdict;
    return true;
  }
}
