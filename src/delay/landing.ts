import type { Delivery } from '../transport/port.js';
import { type Clock, sleep } from '../util/clock.js';
import { Condition } from '../util/condition.js';
import type { LandingChannel } from './landing-channel.js';
import { type DelayTarget, HELD, heldOf, LANDED, landingOf } from './topology.js';

/** The bounds of the pause before a refusing queue is tried again, which is a tenth of the time for which it has refused. */
const MIN_PAUSE_MS = 25;
const MAX_PAUSE_MS = 1_000;

/**
 * After this long, a refusing queue is checked: it may be empty. A quorum queue can refuse every message of a channel that first
 * published to it while it had no leader (seen on 3.10 and 4.0). It accepts those of a new channel.
 */
const LOOK_AFTER_MS = 10_000;

/** The most landed messages in flight. Further ones expire, and the server forwards them. */
const LANDING_PREFETCH = 256;

/** The most held messages in flight: they wait in this process until the queue has room. */
const HELD_PREFETCH = 64;

export interface LandingSettings {
  readonly target: DelayTarget;
  readonly channel: LandingChannel;
  readonly clock: Clock;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
  /** Resolves with true if the queue holds no message, and so is not full. Never rejects. */
  readonly isEmpty: () => Promise<boolean>;
  /** Declares the holding queue. Rejects when that fails. */
  readonly declareHeld: () => Promise<void>;
}

/** A message from the landing queue or from the holding queue. */
interface Landed {
  readonly delivery: Delivery;
  readonly isHeld: boolean;
}

/**
 * Forwards the landed messages of one queue to it, as fast as it has room. Refused messages go to a holding queue, from where they are
 * tried again. The server alone would try them again only after three minutes.
 *
 * | state    | landed        | confirmed                  | refused                  | pause over, a message waits | pause over, none waits |
 * |----------|---------------|----------------------------|--------------------------|-----------------------------|------------------------|
 * | open     | forwarded     |                            | refusing; held, or waits |                             |                        |
 * | refusing | held or waits | open; forwards all waiting | held, or waits           | one is forwarded            | open                   |
 */
export class Landing {
  readonly #settings: LandingSettings;
  #state: 'open' | 'refusing' = 'open';
  /** Messages that the queue has refused, still unacknowledged. */
  #waiting: Landed[] = [];
  #held: Promise<boolean> | undefined;
  #tags: string[] = [];
  /** The number of messages that are neither forwarded, nor held, nor waiting yet. */
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

  /** Consumes from the holding queue, too. Resolves with false when nothing can be held. */
  openHeld(): Promise<boolean> {
    this.#held ??= this.#consumeHeld();
    return this.#held;
  }

  /**
   * Waits until every landed message is forwarded, held or waiting. A message that is requeued to the landing queue expires there at
   * once, and the server tries a refusing queue again only after three minutes. Never rejects.
   */
  async stop(): Promise<void> {
    // Cancelling requeues deliveries in flight, so cancel only while the target accepts messages.
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
    if (this.#state === 'open') await this.#forward(landed);
    else await this.#keep(landed);
    this.#underWay--;
    if (this.#underWay === 0) this.#idle.notify();
  }

  async #forward(landed: Landed): Promise<void> {
    const { channel } = this.#settings;
    const outcome = await channel.send(LANDED, landed.delivery);
    if (outcome === 'confirmed') channel.ack(landed.delivery);
    // No binding leads to the target, or the message cannot be encoded: requeued, it expires, and the server deals with it.
    else if (outcome === 'unroutable' && !landed.isHeld) channel.giveBack(landed.delivery);
    else if (outcome !== 'lost') await this.#refused(landed);
  }

  async #refused(landed: Landed): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'refusing';
      void this.#untilConfirmed();
    }
    await this.#keep(landed);
  }

  /** Keeps a message until its queue has room: in the holding queue, or else in this process. */
  async #keep(landed: Landed): Promise<void> {
    const { channel } = this.#settings;
    if (!landed.isHeld && (await this.openHeld())) {
      const outcome = await channel.send(HELD, landed.delivery);
      if (outcome === 'confirmed') {
        channel.ack(landed.delivery);
        return;
      }
    }
    if (this.#state === 'open') await this.#forward(landed);
    else this.#waiting.push(landed);
  }

  async #untilConfirmed(): Promise<void> {
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
      if (!next || (await this.#tryAgain(next))) break;
    }
    this.#state = 'open';
    for (const landed of this.#waiting.splice(0)) void this.#forward(landed);
  }

  /** Tries one waiting message. Resolves with true when its queue confirmed it. */
  async #tryAgain(landed: Landed): Promise<boolean> {
    const { channel } = this.#settings;
    const outcome = await channel.send(LANDED, landed.delivery);
    if (outcome === 'confirmed') channel.ack(landed.delivery);
    else if (outcome !== 'lost') this.#waiting.unshift(landed);
    return outcome === 'confirmed';
  }
}
