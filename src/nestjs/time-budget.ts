/** Time that several waits, one after the other, have together. */
export class TimeBudget {
  #remainingMs: number;

  constructor(totalMs: number) {
    this.#remainingMs = totalMs;
  }

  /** Calls the wait with what is left, in milliseconds, and takes off what it used. */
  async spend<T>(wait: (timeoutMs: number) => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    try {
      return await wait(this.#remainingMs);
    } finally {
      this.#remainingMs = Math.max(0, this.#remainingMs - (performance.now() - startedAt));
    }
  }
}
