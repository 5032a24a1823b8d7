import type { Contract } from '../contracts/types.js';
import { ConfigurationError } from '../errors.js';
import type { Connection } from '../transport/connection/connection.js';
import { type Check, checkOptions, expectDuration, expectInteger } from '../util/checks.js';
import type { Clock } from '../util/clock.js';
import type { ProducerOptions } from './producer-options.js';
import type { ChannelSlots } from './publisher/channel-slots.js';
import type { OnRestored } from './publisher/declare-on-demand.js';
import { Publisher } from './publisher/publisher.js';
import { publisherTargetOf } from './publisher/publisher-settings.js';

const producerChecks: Readonly<Record<keyof ProducerOptions, Check>> = {
  maxInFlight: expectInteger(1, 65_535),
  maxBuffered: expectInteger(1, 10_000_000),
  timeoutMs: expectDuration(1, { infinity: true }),
};

type Limits = Readonly<Record<keyof ProducerOptions, number>>;

const DEFAULTS: Limits = {
  maxInFlight: 1_000,
  maxBuffered: 10_000,
  timeoutMs: 30_000,
};

export interface SharedPublisherSettings {
  readonly contract: Contract;
  readonly connection: Connection;
  readonly clock: Clock;
  readonly slots: ChannelSlots;
  readonly onRestored: OnRestored;
  /** Called when the publisher gets something to send or a channel, and when it has neither any more. */
  readonly onActive: (shared: SharedPublisher, isActive: boolean) => void;
  /** The last producer was closed. */
  readonly onUnused: (shared: SharedPublisher) => void;
}

/** The channel, window, buffer and options that all producers of one contract share. */
export class SharedPublisher {
  readonly contract: Contract;
  /** The name of the target in messages. */
  readonly target: string;
  readonly publisher: Publisher;
  readonly #onUnused: (shared: SharedPublisher) => void;
  /** The options that any of the producers was given. */
  #options: Partial<Limits> = {};
  #limits: Limits = DEFAULTS;
  #producers = 0;

  constructor({
    contract,
    connection,
    clock,
    slots,
    onRestored,
    onActive,
    onUnused,
  }: SharedPublisherSettings) {
    this.contract = contract;
    const { target, contract: declared } = publisherTargetOf(contract);
    this.target = target;
    this.#onUnused = onUnused;
    const limits = () => this.#limits;
    this.publisher = new Publisher({
      target,
      connection,
      clock,
      contract: declared,
      get maxInFlight() {
        return limits().maxInFlight;
      },
      get maxBuffered() {
        return limits().maxBuffered;
      },
      slots,
      onRestored,
      onActive: (isActive) => onActive(this, isActive),
    });
  }

  get maxInFlight(): number {
    return this.#limits.maxInFlight;
  }

  get timeoutMs(): number {
    return this.#limits.timeoutMs;
  }

  get health() {
    const { pending, inFlight } = this.publisher;
    return { target: this.contract.name, pending, inFlight };
  }

  /**
   * Adopts the options of one more producer. Options that are not given are left for others to set.
   *
   * @throws ConfigurationError for a wrong value, or one that differs from the value given before
   */
  configure(options: ProducerOptions): void {
    const where = `producer of ${this.target}`;
    checkOptions(where, options, producerChecks);
    for (const key of Object.keys(DEFAULTS) as (keyof ProducerOptions)[]) {
      const [before, now] = [this.#options[key], options[key]];
      if (before === undefined || now === undefined || before === now) continue;
      throw new ConfigurationError(
        key,
        `${where}: option '${key}' is ${now}, and another producer of the same contract has ${before}: they share one channel, window and buffer. Give the same value, or none`,
      );
    }
    this.#options = { ...this.#options, ...given(options) };
    this.#limits = { ...DEFAULTS, ...this.#options };
  }

  /** True while a producer of the contract is open. */
  get isInUse(): boolean {
    return this.#producers > 0;
  }

  /** One more producer uses the publisher. */
  opened(): void {
    this.#producers++;
  }

  /** One producer fewer uses the publisher. With none left, the channel is closed at once. */
  async closed(): Promise<void> {
    this.#producers--;
    if (this.#producers > 0) return;
    this.#onUnused(this);
    await this.publisher.giveBack();
  }
}

function given(options: ProducerOptions): Partial<Limits> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
