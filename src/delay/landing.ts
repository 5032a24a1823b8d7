import type { Delivery } from '../transport/port.js';
import { type Clock, sleep } from '../util/clock.js';
import { Condition } from '../util/condition.js';
import type { LandingChannel } from './landing-channel.js';
import { type DelayTarget, HELD, heldOf, LANDED, landingOf } from './topology.js';

/** The pause before a queue that refuses is tried again: a tenth of the time for which it has refused, within these bounds. */
const MIN_PAUSE_MS = 25;
const MAX_PAUSE_MS = 1_000;

/**
 * After this long, a queue that refuses is looked at. A channel that first published to a quorum queue while that had no leader
 * can be refused forever (seen on 3.10 and 4.0), where a new one is not.
 */
const LOOK_AFTER_MS = 10_000;

/** How many landed messages are under way at once. What comes meanwhile expires, and the server takes it on. */
const LANDING_PREFETCH = 256;

/** How many of those that are held wait here for room. */
const HELD_PREFETCH = 64;

export interface LandingSettings {
  readonly target: DelayTarget;
  readonly channel: LandingChannel;
  readonly clock: Clock;
  /** Nothing is waited for any more once it aborts. */
  readonly signal: AbortSignal;
  /** Whether the queue holds no message: then it does not refuse because it is full. Never rejects. */
  readonly isEmpty: () => Promise<boolean>;
  /** Declares where refused messages are held. Rejects when that cannot be. */
  readonly declareHeld: () => Promise<void>;
}

/** A message that has landed, or that was held. */
interface Landed {
  readonly delivery: Delivery;
  readonly isHeld: boolean;
}

/**
 * Takes the landed messages of one queue on to it, as fast as it has room. What it refuses is held in a queue of its own, from which
 * it is tried again: left to the server, it would be for three minutes.
 *
 * | state    | landed             | taken                  | refused                   | pause over, with one that waits | pause over, with none |
 * |----------|--------------------|------------------------|---------------------------|---------------------------------|-----------------------|
 * | open     | is sent on         |                        | refusing; held, or waits  |                                 |                       |
 * | refusing | is held, or waits  | open; all that wait go | held, or waits            | one is sent on                  | open                  |
 */
export class Landing {
  readonly #settings: LandingSettings;
  #state: 'open' | 'refusing' = 'open';
  /** Messages that the queue has refused, still unacknowledged. */
  #waiting: Landed[] = [];
  #held: Promise<boolean> | undefined;
  #tags: string[] = [];
  /** How many of the landed messages have no place yet. */
  #underWay = 0;
  readonly #idle = new Condition();

  constructor(settings: LandingSettings) {
    this.#settings = settings;
  }

  /** Begins to consume. Rejects with a `TransportError`. */
  async start(): Promise<void> {
    const { channel, target } = this.#settings;
    const onDelivery = (delivery: Delivery) => void this.#landed({ delivery, isHeld: false });
    this.#tags.push(await channel.consume(landingOf(target), LANDING_PREFETCH, onDelivery));
  }

  /** Also takes on what was held before, by whomever. Resolves with false when nothing can be held. */
  openHeld(): Promise<boolean> {
    this.#held ??= this.#consumeHeld();
    return this.#held;
  }

  /**
   * Waits until what has landed is in its queue, or held. Returned to the landing, it would expire there at once, and the server
   * would try a queue that refuses it again after three minutes. Never rejects.
   */
  async stop(): Promise<void> {
    // What is in flight to a consumer while that is cancelled returns, too: only a queue that has room can have it.
    if (this.#state === 'open') await this.#cancel();
    if (this.#underWay > 0) await this.#idle.wait();
  }

  async #cancel(): Promise<void> {
    for (const tag of this.#tags.splice(0)) await this.#settings.channel.cancel(tag).catch(() => {});
  }

  async #consumeHeld(): Promise<boolean> {
    const { channel, target, declareHeld, signal } = this.#settings;
    try {
      await declareHeld();
      if (signal.aborted) return false;
      const onDelivery = (delivery: Delivery) => void this.#landed({ delivery, isHeld: true });
      this.#tags.push(await channel.consume(heldOf(target), HELD_PREFETCH, onDelivery));
      return true;
    } catch {
      return false;
    }
  }

  async #landed(landed: Landed): Promise<void> {
    this.#underWay++;
    if (this.#state === 'open') await this.#sendOn(landed);
    else await this.#keep(landed);
    this.#underWay--;
    if (this.#underWay === 0) this.#idle.notify();
  }

  /** True when its queue took it. */
  async #sendOn(landed: Landed): Promise<boolean> {
    const { channel } = this.#settings;
    const outcome = await channel.send(LANDED, landed.delivery);
    if (outcome === 'confirmed') {
      channel.ack(landed.delivery);
      return true;
    }
    // No binding leads on, or it cannot be written: the server can do what is left to do.
    if (outcome === 'unroutable' && !landed.isHeld) channel.giveBack(landed.delivery);
    else if (outcome !== 'lost') await this.#refused(landed);
    return false;
  }

  async #refused(landed: Landed): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'refusing';
      void this.#untilTaken();
    }
    await this.#keep(landed);
  }

  /** Keeps it where it waits for room. */
  async #keep(landed: Landed): Promise<void> {
    const { channel } = this.#settings;
    if (!landed.isHeld && (await this.openHeld())) {
      const outcome = await channel.send(HELD, landed.delivery);
      if (outcome === 'confirmed') {
        channel.ack(landed.delivery);
        return;
      }
    }
    if (this.#state === 'open') await this.#sendOn(landed);
    else this.#waiting.push(landed);
  }

  async #untilTaken(): Promise<void> {
    const { channel, clock, signal, isEmpty } = this.#settings;
    const since = clock.now();
    let lookAt = since + LOOK_AFTER_MS;
    while (true) {
      if (clock.now() >= lookAt) {
        lookAt = clock.now() + LOOK_AFTER_MS;
        if (await isEmpty()) return channel.close();
      }
      const pauseMs = (clock.now() - since) / 10;
      await sleep(clock, Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, pauseMs)), signal);
      const next = this.#waiting.shift();
      if (signal.aborted) return;
      if (!next || (await this.#isTaken(next))) break;
    }
    this.#state = 'open';
    for (const landed of this.#waiting.splice(0)) void this.#sendOn(landed);
  }

  /** Tries one that waits. */
  async #isTaken(landed: Landed): Promise<boolean> {
    const { channel } = this.#settings;
    const outcome = await channel.send(LANDED, landed.delivery);
    if (outcome === 'confirmed') channel.ack(landed.delivery);
    else if (outcome !== 'lost') this.#waiting.unshift(landed);
    return outcome === 'confirmed';
  }
}
