/** An item that can be in a {@link SlotList}, in at most one at a time. */
export interface Slotted {
  /** @internal its index in the list; -1 when it is in none */
  listSlot: number;
}

/**
 * An unordered set of items in progress. A `Set` that is filled and emptied once per message allocates a new table again and
 * again, and its old tables keep their items alive until the next full collection. Here each item knows its own index
 * instead.
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

  /** Returns false when the item is not in the list. */
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

  /** Iterates over the items that are in the list now, whatever is done to the list meanwhile. */
  [Symbol.iterator](): ArrayIterator<T> {
    return [...this.#items].values();
  }
}
