import type { Channel, ConsumeOptions, Delivery } from '../../transport/port.js';
import { Serial } from '../../util/serial.js';

export interface ConsumptionSettings {
  readonly channel: Channel;
  readonly queue: string;
  /** The initial prefetch. */
  readonly prefetch: number;
  /** Called each time that consuming begins. */
  readonly options: () => ConsumeOptions;
  /** Consuming begins, or begins again. */
  readonly onBegin: () => void;
  readonly onDelivery: (delivery: Delivery | undefined) => void;
}

/**
 * A channel's consumption of one queue. It grows by a further `basic.consume` beside the existing ones, each with a prefetch
 * of its own: replacing a consumer would deliver messages twice and out of order. The server counts each as a consumer.
 */
export class Consumption {
  readonly #settings: ConsumptionSettings;
  /** The consumer tags, in the order in which they began. */
  #tags: string[] = [];
  #prefetch: number;
  /** The last prefetch passed to `basic.qos`, for consumers that begin from now on. */
  #said: number | undefined;
  /** Each command takes a round trip. */
  readonly #commands = new Serial();

  constructor(settings: ConsumptionSettings) {
    this.#settings = settings;
    this.#prefetch = settings.prefetch;
  }

  get isActive(): boolean {
    return this.#tags.length > 0;
  }

  /** The current prefetch. */
  get prefetch(): number {
    return this.#prefetch;
  }

  get hasGrown(): boolean {
    return this.#prefetch > this.#settings.prefetch;
  }

  /** Sets the initial prefetch on the channel. */
  prepare(): Promise<void> {
    return this.#say(this.#settings.prefetch);
  }

  start(): Promise<void> {
    return this.#commands.run(async () => {
      await this.#say(this.#settings.prefetch);
      await this.#begin();
    });
  }

  /** Stops deliveries. They begin again with the initial prefetch. */
  stop(): Promise<void> {
    return this.#commands.run(async () => {
      this.#prefetch = this.#settings.prefetch;
      await this.#cancel(0);
    });
  }

  /** Raises the prefetch while consuming. */
  grow(prefetch: number): Promise<void> {
    return this.#commands.run(async () => {
      const more = prefetch - this.#prefetch;
      if (!this.isActive || more <= 0) return;
      await this.#say(more);
      await this.#begin();
      this.#prefetch = prefetch;
    });
  }

  /** Returns to the initial prefetch. Delivered messages stay. */
  shrink(): Promise<void> {
    return this.#commands.run(async () => {
      this.#prefetch = this.#settings.prefetch;
      await this.#cancel(1);
    });
  }

  async #say(prefetch: number): Promise<void> {
    if (this.#settings.options().noAck || this.#said === prefetch) return;
    this.#said = prefetch;
    await this.#settings.channel.setPrefetch(prefetch);
  }

  async #begin(): Promise<void> {
    const { channel, queue, options, onBegin, onDelivery } = this.#settings;
    const its = options();
    onBegin();
    this.#tags.push(await channel.consume(queue, its, onDelivery));
  }

  /** @param kept - how many of the first consumers continue */
  async #cancel(kept: number): Promise<void> {
    const tags = this.#tags.splice(kept);
    for (const tag of tags) if (this.#settings.channel.isOpen) await this.#settings.channel.cancel(tag);
  }
}
