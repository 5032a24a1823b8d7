import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect } from 'vitest';

const SETTLED = 'tracing:leveret:settle:asyncEnd';

/** The verdicts on the messages of one queue in this process whose acknowledgement, or return, has been written. */
export class SettledVerdicts implements Disposable {
  readonly #queue: string;
  readonly #verdicts: string[] = [];

  constructor(queue: string) {
    this.#queue = queue;
    subscribe(SETTLED, this.#note);
  }

  async until(verdict: 'ack' | 'retry' | 'dead-letter' | 'requeue'): Promise<void> {
    await expect.poll(() => this.#verdicts).toContain(verdict);
  }

  [Symbol.dispose](): void {
    unsubscribe(SETTLED, this.#note);
  }

  readonly #note = (payload: unknown): void => {
    const { queue, verdict, result } = payload as { queue: string; verdict: string; result: boolean };
    if (queue === this.#queue && result) this.#verdicts.push(verdict);
  };
}
