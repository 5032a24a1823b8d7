/** The part of a channel that the window uses. */
export interface AckChannel {
  ack(deliveryTag: number, multiple: boolean): void;
}

const UNSETTLED = 0;
const ACKED = 1;
const SETTLED = 2;

/**
 * The unsettled deliveries of one channel. Acknowledgements are gathered and sent together: those at the head of the window
 * with one `multiple`, which relieves the server as much as the client, the others one by one.
 *
 * A tag is only ever sent to the channel that delivered it, and only once: the server closes a channel over an unknown tag.
 */
export class AckWindow {
  readonly #channel: AckChannel;
  readonly #inOrder: boolean;
  /** A ring: the state of tag `t` is at `t & mask`. */
  #states = new Uint8Array(256);
  #mask = 255;
  #oldest = 1;
  #next = 1;
  /** Acknowledged but not sent yet. */
  #acked: number[] = [];

  /** @param options - `inOrder`: sends no acknowledgement before those of all earlier deliveries */
  constructor(channel: AckChannel, { inOrder = false }: { readonly inOrder?: boolean } = {}) {
    this.#channel = channel;
    this.#inOrder = inOrder;
  }

  /** True when every delivery is settled. Acknowledged ones count once the acknowledgement is sent. */
  get isEmpty(): boolean {
    return this.#oldest === this.#next;
  }

  /** The number of deliveries from the oldest unsettled one on: at least as many as the server counts. */
  get span(): number {
    return this.#next - this.#oldest;
  }

  /** Records a delivery. Tags come in order: 1, 2, 3 … */
  delivered(tag: number): void {
    if (tag !== this.#next) throw new RangeError(`delivery tag ${tag} came where ${this.#next} was expected`);
    if (tag - this.#oldest > this.#mask) this.#grow();
    this.#states[tag & this.#mask] = UNSETTLED;
    this.#next++;
  }

  /** Gathers an acknowledgement for the next {@link flush}. */
  ack(tag: number): void {
    this.#mark(tag, ACKED);
    this.#acked.push(tag);
  }

  /** Records that the delivery was rejected or requeued in a frame of its own. */
  settled(tag: number): void {
    this.#mark(tag, SETTLED);
    // Even if nothing is ever acknowledged, the ring must not grow.
    while (this.#oldest < this.#next && this.#states[this.#oldest & this.#mask] === SETTLED) this.#oldest++;
  }

  /** Sends the gathered acknowledgements. Throws when the channel is gone. */
  flush(): void {
    const acked = this.#acked;
    if (acked.length === 0) return;
    this.#acked = [];
    const before = this.#oldest;
    let upTo = 0;
    while (this.#oldest < this.#next && this.#states[this.#oldest & this.#mask] !== UNSETTLED) {
      if (this.#states[this.#oldest & this.#mask] === ACKED) upTo = this.#oldest;
      this.#oldest++;
    }
    if (upTo > 0) this.#channel.ack(upTo, upTo > before);
    if (this.#inOrder) return;
    for (const tag of acked) {
      if (tag < this.#oldest) continue;
      this.#states[tag & this.#mask] = SETTLED;
      this.#channel.ack(tag, false);
    }
  }

  #mark(tag: number, state: number): void {
    if (tag < this.#oldest || tag >= this.#next || this.#states[tag & this.#mask] !== UNSETTLED) {
      throw new RangeError(`delivery tag ${tag} is settled already, or unknown`);
    }
    this.#states[tag & this.#mask] = state;
  }

  #grow(): void {
    const mask = this.#mask * 2 + 1;
    const states = new Uint8Array(mask + 1);
    for (let tag = this.#oldest; tag < this.#next; tag++)
      states[tag & mask] = this.#states[tag & this.#mask] as number;
    this.#states = states;
    this.#mask = mask;
  }
}
