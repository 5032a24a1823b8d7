/**
 * A quorum queue processes this many commands of a channel at once (`rabbit_fifo_client`'s soft limit is 32). Further ones
 * wait in the channel, as one, and are dropped when it closes. A cancelled consumer leaves up to three behind.
 */
const MAX_UNDER_WAY = 28;

/**
 * Tracks whether all settlements of a channel have left it for their quorum queue. AMQP does not confirm them, and neither
 * waiting nor a passive declaration proves anything. Two things do: few enough of them, or the answer to a request that the
 * queue itself has to agree on, such as `basic.consume`, `basic.cancel` or `basic.get`, because commands arrive in order.
 */
export class SettlementProof {
  #queue: string | undefined;
  #prefetch = 0;
  /** The most messages that can be unsettled at once. */
  #mostUnsettled = 0;
  #unproven = 0;

  /** The quorum queue to ask before the channel closes; undefined if that is not necessary. */
  get missingFrom(): string | undefined {
    return this.#unproven > MAX_UNDER_WAY && this.#mostUnsettled > MAX_UNDER_WAY ? this.#queue : undefined;
  }

  prefetched(count: number): void {
    this.#prefetch = count === 0 ? Number.POSITIVE_INFINITY : count;
  }

  /** A consumer of a quorum queue is about to begin. */
  consumes(queue: string): void {
    this.#queue = queue;
    this.#mostUnsettled += this.#prefetch;
  }

  /** An acknowledgement or a requeue was written. */
  settled(): void {
    this.#unproven++;
  }

  /** The queue has answered. */
  answered(): void {
    this.#unproven = 0;
  }
}
