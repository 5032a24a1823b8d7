/** A time limit that several consecutive waits share. */
export class TimeBudget {
  #remainingMs: number;

  constructor(totalMs: number) {
    this.#remainingMs = totalMs;
  }

  /** Calls the wait with the remaining time, in milliseconds, and deducts what it used. */
  async spend<T>(wait: (timeoutMs: number) => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    try {
      return await wait(this.#remainingMs);
    } finally {
      this.#remainingMs = Math.max(0, this.#remainingMs - (performance.now() - startedAt));
    }
  }
}
