/** What can be kept in a {@link SlotList}, in one at a time. */
export interface Slotted {
  /** @internal its place in the list; -1: in none */
  listSlot: number;
}

/**
 * What is under way, in no order. A `Set` that is filled and emptied once per message makes a new table again and again, and its
 * dead ones keep what they held alive until the next full collection; here each item knows its own place.
 */
export class SlotList<T extends Slotted> implements Iterable<T> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  has(item: T): boolean {
    return this.#items[item.listSlot] === item;
  }

  add(item: T): void {
    item.listSlot = this.#items.push(item) - 1;
  }

  /** False when it is not in the list. */
  delete(item: T): boolean {
    const { listSlot } = item;
    if (this.#items[listSlot] !== item) return false;
    item.listSlot = -1;
    const last = this.#items.pop() as T;
    if (last === item) return true;
    this.#items[listSlot] = last;
    last.listSlot = listSlot;
    return true;
  }

  /** Those that are in it now, whatever is done to it meanwhile. */
  [Symbol.iterator](): ArrayIterator<T> {
    return [...this.#items].values();
  }
}
