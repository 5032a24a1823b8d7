import type { Delivery } from '../../transport/port.js';

const MIN_PLACES = 64;

/**
 * The deliveries of one channel without a verdict, by tag. Tags come in order and are mostly settled in order, so each
 * delivery has a place in a ring. Only one that is still there when the ring comes round moves to a table. A `Map` alone
 * would allocate new tables again and again, whose old ones keep the messages alive.
 */
export class DeliveryRing implements Iterable<Delivery> {
  readonly #ring: (Delivery | undefined)[];
  readonly #mask: number;
  readonly #slow = new Map<number, Delivery>();
  #size = 0;

  /** @param expected - the usual number of deliveries at once */
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
