/**
 * An in-memory FIFO: `push` and `shift` take O(1); `unshift` takes O(1) in the room that `shift` has left, and O(n)
 * otherwise.
 */
export class Fifo<T> {
  readonly #items: T[];
  #head = 0;

  constructor(items: Iterable<T> = []) {
    this.#items = [...items];
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  get first(): T | undefined {
    return this.#items[this.#head];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#head++;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head >= 1_024 && this.#head * 2 >= this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Puts the item before all others. */
  unshift(item: T): void {
    if (this.#head === 0) this.#items.unshift(item);
    else this.#items[--this.#head] = item;
  }

  /** Inserts the item before the first one that has to come after it. Cheap near the end. */
  insert(item: T, comesAfter: (other: T) => boolean): void {
    let at = this.#items.length;
    while (at > this.#head && comesAfter(this.#items[at - 1] as T)) at--;
    this.#items.splice(at, 0, item);
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let at = this.#head; at < this.#items.length; at++) yield this.#items[at] as T;
  }
}
