/** The part of a message that a window uses. */
export interface Unconfirmed {
  readonly sizeBytes: number;
}

/**
 * The messages that were published on one channel and are not confirmed yet, by tag: the count of publishes on that channel.
 */
export class ConfirmWindow<T extends Unconfirmed> {
  /** A ring: the entry of tag `t` is at `t & mask`. */
  #ring: (T | undefined)[] = new Array(64);
  #mask = 63;
  #oldest = 1;
  #next = 1;
  #size = 0;
  #sizeBytes = 0;

  /** How many messages are not confirmed. */
  get size(): number {
    return this.#size;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Adds the message that was just published, under the next tag. */
  push(pending: T): void {
    if (this.#next - this.#oldest > this.#mask) this.#grow();
    this.#ring[this.#next & this.#mask] = pending;
    this.#next++;
    this.#size++;
    this.#sizeBytes += pending.sizeBytes;
  }

  /** Removes the messages that a confirm covers, oldest first. Unknown tags are ignored. */
  take(tag: number, multiple: boolean, onTaken: (pending: T) => void): void {
    const last = Math.min(tag, this.#next - 1);
    for (let at = multiple ? this.#oldest : tag; at <= last; at++) {
      if (at < this.#oldest) continue;
      const pending = this.#ring[at & this.#mask];
      if (!pending) continue;
      this.#ring[at & this.#mask] = undefined;
      this.#size--;
      this.#sizeBytes -= pending.sizeBytes;
      onTaken(pending);
    }
    while (this.#oldest < this.#next && !this.#ring[this.#oldest & this.#mask]) this.#oldest++;
  }

  /** The oldest message that passes the test. */
  find(test: (pending: T) => boolean): T | undefined {
    for (let at = this.#oldest; at < this.#next; at++) {
      const pending = this.#ring[at & this.#mask];
      if (pending && test(pending)) return pending;
    }
    return undefined;
  }

  /** Removes all messages, oldest first. */
  drain(): T[] {
    const all: T[] = [];
    this.take(this.#next - 1, true, (pending) => all.push(pending));
    return all;
  }

  #grow(): void {
    const mask = this.#mask * 2 + 1;
    const ring = new Array<T | undefined>(mask + 1);
    for (let at = this.#oldest; at < this.#next; at++) ring[at & mask] = this.#ring[at & this.#mask];
    this.#ring = ring;
    this.#mask = mask;
  }
}
