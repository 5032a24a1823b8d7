const FIRST_MS = 1_000;
const MAX_MS = 30_000;

/**
 * How long a channel may stay open without taking a message before it is replaced. Twice as long after each one, since all
 * that it has published is sent again: a server that is only slow would be drowned in copies.
 */
export class StallTimeout {
  #ms = FIRST_MS;

  /** The server took a message. */
  restore(): void {
    this.#ms = FIRST_MS;
  }

  /** True when a channel that was open for so long is to be replaced; the next one gets more time. */
  isOver(openForMs: number): boolean {
    if (openForMs < this.#ms) return false;
    this.#ms = Math.min(MAX_MS, 2 * this.#ms);
    return true;
  }
}
