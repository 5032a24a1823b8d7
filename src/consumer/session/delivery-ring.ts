import type { Delivery } from '../../transport/port.js';

const MIN_PLACES = 64;

/**
 * The deliveries of one channel that have no verdict yet, by tag. Tags come in order, and mostly they are settled in order: each
 * has its place in a ring, and only what is still there when the ring comes round to it moves to a table. A `Map` alone would make
 * a new table again and again, whose dead ones keep the messages alive.
 */
export class DeliveryRing implements Iterable<Delivery> {
  readonly #ring: (Delivery | undefined)[];
  readonly #mask: number;
  readonly #slow = new Map<number, Delivery>();
  #size = 0;

  /** @param expected - how many there are at once, as a rule */
  constructor(expected: number) {
    let places = MIN_PLACES;
    while (places < 2 * expected) places *= 2;
    this.#ring = new Array<Delivery | undefined>(places).fill(undefined);
    this.#mask = places - 1;
  }

  get size(): number {
    return this.#size;
  }

  add(delivery: Delivery): void {
    const at = delivery.deliveryTag & this.#mask;
    const slow = this.#ring[at];
    if (slow) this.#slow.set(slow.deliveryTag, slow);
    this.#ring[at] = delivery;
    this.#size++;
  }

  get(tag: number): Delivery | undefined {
    const delivery = this.#ring[tag & this.#mask];
    return delivery?.deliveryTag === tag ? delivery : this.#slow.get(tag);
  }

  delete(tag: number): void {
    const at = tag & this.#mask;
    if (this.#ring[at]?.deliveryTag === tag) this.#ring[at] = undefined;
    else if (!this.#slow.delete(tag)) return;
    this.#size--;
  }

  *[Symbol.iterator](): IterableIterator<Delivery> {
    yield* this.#slow.values();
    for (const delivery of this.#ring) if (delivery) yield delivery;
  }
}
