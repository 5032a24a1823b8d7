import type { Clock, Timer } from '../../util/clock.js';
import { deferred } from '../../util/promises.js';

/** How long a channel may be idle before it is closed. */
const IDLE_MS = 60_000;

/** The channels of a connection that producers leave to retries, dead letters, requests, replies and administration. */
const RESERVED = 64;

/** Something that publishes on a channel of its own. */
export interface SlotHolder {
  /** The time since which the holder has had nothing to send; undefined while it has something to send. */
  readonly idleSince: number | undefined;
  /** Closes its channel, if it has nothing to send, and then releases its slot. */
  giveBack(): Promise<void>;
}

/** The right to one channel, until it is released. */
export interface Slot {
  /** The channel is closed, or could not be opened. Safe to call twice. */
  release(): void;
}

/**
 * Decides which producers of a broker have a channel. There can be more producers than a connection has channels: a producer
 * that has nothing to send passes its channel to another one that waits for it, and closes the channel after a minute.
 */
export class ChannelSlots {
  readonly #clock: Clock;
  readonly #taken = new Map<Slot, SlotHolder>();
  readonly #waiting: { readonly holder: SlotHolder; readonly enter: (slot: Slot) => void }[] = [];
  /** Holders that were asked to close their channel, and have not done so yet. */
  readonly #leaving = new Set<SlotHolder>();
  /** The most slots at a time. */
  #capacity = Number.POSITIVE_INFINITY;
  /** The number of channels that the server allowed when it refused one more. */
  #allowed = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Resolves when the holder may open its channel.
   *
   * @param channelMax - how many channels its connection can have
   */
  async acquire(holder: SlotHolder, channelMax: number): Promise<Slot> {
    this.#capacity = Math.max(1, channelMax - Math.min(RESERVED, Math.ceil(channelMax / 2)));
    const entered = deferred<Slot>();
    this.#waiting.push({ holder, enter: entered.resolve });
    this.#assign();
    return entered.promise;
  }

  /** The holder has nothing to send any more. */
  idle(holder: SlotHolder): void {
    this.#leaving.delete(holder);
    if (this.#waiting.length > this.#leaving.size) this.#dismiss(holder);
    else this.#arm(IDLE_MS);
  }

  /** The server refused a channel for which there was a slot: fewer channels are available than expected. */
  exhausted(): void {
    this.#allowed = Math.max(1, this.#taken.size - 1);
  }

  #assign(): void {
    while (this.#waiting.length > 0 && this.#taken.size < Math.min(this.#capacity, this.#allowed)) {
      const next = this.#waiting.shift();
      if (!next) return;
      const slot: Slot = { release: () => this.#released(slot) };
      this.#taken.set(slot, next.holder);
      next.enter(slot);
    }
    for (let missing = this.#waiting.length - this.#leaving.size; missing > 0; missing--) {
      const longest = this.#longestIdle();
      if (!longest) return;
      this.#dismiss(longest);
    }
  }

  #released(slot: Slot): void {
    const holder = this.#taken.get(slot);
    if (!holder) return;
    this.#taken.delete(slot);
    this.#leaving.delete(holder);
    if (this.#taken.size === 0) this.#disarm();
    this.#assign();
  }

  #dismiss(holder: SlotHolder): void {
    this.#leaving.add(holder);
    void holder.giveBack();
  }

  #longestIdle(): SlotHolder | undefined {
    let longest: SlotHolder | undefined;
    for (const holder of this.#taken.values()) {
      if (holder.idleSince === undefined || this.#leaving.has(holder)) continue;
      if (longest?.idleSince === undefined || holder.idleSince < longest.idleSince) longest = holder;
    }
    return longest;
  }

  #arm(ms: number): void {
    if (this.#timer) return;
    this.#timer = this.#clock.setTimeout(() => this.#sweep(), ms);
    // An idle channel must not keep the process alive.
    this.#timer.unref();
  }

  #disarm(): void {
    if (this.#timer) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const holder of [...this.#taken.values()]) {
      if (holder.idleSince === undefined || this.#leaving.has(holder)) continue;
      const leftMs = holder.idleSince + IDLE_MS - now;
      if (leftMs <= 0) this.#dismiss(holder);
      else nextMs = Math.min(nextMs, leftMs);
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.#arm(nextMs);
  }
}
