import type { Contract } from '../contracts/types.js';
import { type ProducerHost, QueueProducer } from './producer.js';
import type { ProducerOptions } from './producer-options.js';
import { ChannelSlots } from './publisher/channel-slots.js';
import type { OnRestored } from './publisher/declare-on-demand.js';
import { SharedPublisher } from './shared-publisher.js';

export interface ProducersSettings extends ProducerHost {
  /** True once the broker accepts no new work. */
  readonly isClosing: () => boolean;
  /** A queue or exchange that had disappeared was declared again. */
  readonly onRestored: OnRestored;
}

/** The producers of a broker. Producers of one contract share a publisher, which is kept only while it is in use. */
export class Producers {
  readonly #settings: ProducersSettings;
  readonly #slots: ChannelSlots;
  readonly #shared = new WeakMap<Contract, SharedPublisher>();
  /** The publishers that have something to send, or a channel. */
  readonly #active = new Set<SharedPublisher>();
  /** All publishers, weakly held: abandoned producers need not be closed. */
  readonly #known = new Set<WeakRef<SharedPublisher>>();
  readonly #collected = new FinalizationRegistry<WeakRef<SharedPublisher>>((ref) => this.#known.delete(ref));
  #isClosed = false;

  constructor(settings: ProducersSettings) {
    this.#settings = settings;
    this.#slots = new ChannelSlots(settings.clock);
  }

  /** The health of each contract that has a producer. */
  get health() {
    const known = [...this.#known].map((ref) => ref.deref());
    return known.flatMap((shared) =>
      shared?.isInUse || (shared && this.#active.has(shared)) ? [shared.health] : [],
    );
  }

  /** @throws ConfigurationError for a wrong option, or one whose value differs from that of another producer of the contract */
  producer(contract: Contract, options: ProducerOptions): QueueProducer {
    if (this.#settings.isClosing()) return this.#closedProducer(contract, options);
    const known = this.#shared.get(contract);
    const shared = known ?? this.#make(contract);
    shared.configure(options);
    if (!known) this.#remember(shared);
    return new QueueProducer(shared, this.#settings);
  }

  /** Publishes what is waiting, after the server's resource alarm is over. */
  flush(): void {
    for (const { publisher } of this.#active) publisher.flush();
  }

  /** Accepts no more sends, and resolves when every send is settled. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#active].map(({ publisher }) => publisher.close()));
  }

  /** Settles the remaining sends with a `ClosedError`. */
  abort(): void {
    this.#isClosed = true;
    for (const { publisher } of this.#active) publisher.abort();
  }

  /** A producer that refuses every send. */
  #closedProducer(contract: Contract, options: ProducerOptions): QueueProducer {
    const shared = this.#make(contract);
    shared.configure(options);
    shared.publisher.abort();
    return new QueueProducer(shared, this.#settings);
  }

  #remember(shared: SharedPublisher): void {
    const ref = new WeakRef(shared);
    this.#shared.set(shared.contract, shared);
    this.#known.add(ref);
    this.#collected.register(shared, ref);
  }

  #make(contract: Contract): SharedPublisher {
    const { connection, clock, onRestored } = this.#settings;
    return new SharedPublisher({
      contract,
      connection,
      clock,
      slots: this.#slots,
      onRestored,
      onActive: (shared, isActive) => {
        if (!isActive) this.#active.delete(shared);
        else if (this.#isClosed) shared.publisher.abort();
        else this.#active.add(shared);
      },
      onUnused: (shared) => this.#shared.get(contract) === shared && this.#shared.delete(contract),
    });
  }
}
