const FIRST_MS = 1_000;
const MAX_MS = 30_000;

/**
 * How long a channel may stay open without the server confirming a message, before it is replaced. Doubles with each
 * replacement, because everything unconfirmed is published again: a server that is only slow would drown in copies.
 */
export class StallTimeout {
  #ms = FIRST_MS;

  /** The server confirmed a message. */
  restore(): void {
    this.#ms = FIRST_MS;
  }

  /** True when a channel that was open for this long has to be replaced; the next one gets more time. */
  isOver(openForMs: number): boolean {
    if (openForMs < this.#ms) return false;
    this.#ms = Math.min(MAX_MS, 2 * this.#ms);
    return true;
  }
}
