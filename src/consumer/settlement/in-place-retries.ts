import type { Clock, Timer } from '../../util/clock.js';
import type { ReceivedMessage } from '../delivery/message.js';
import type { Session } from '../session/session.js';

export interface InPlaceRetriesSettings {
  readonly clock: Clock;
  /** How long a message may be held here in all, in milliseconds. */
  readonly maxHoldMs: number;
  /** The delay is over: the message that is to run, and the one whose run has failed. */
  readonly onDue: (message: ReceivedMessage, failed: ReceivedMessage) => void;
}

/**
 * Messages that run again here, without leaving their place: the only way on a stream, which takes nothing back, and the only
 * one that keeps an order. They stay unacknowledged meanwhile, so that a crash delivers them again.
 */
export class InPlaceRetries {
  readonly #settings: InPlaceRetriesSettings;
  readonly #timers = new Map<ReceivedMessage, Timer>();
  /** When the first run of a delivery failed, for those that run again. */
  readonly #heldSince = new WeakMap<ReceivedMessage['delivery'], number>();
  #isFinishing = false;

  constructor(settings: InPlaceRetriesSettings) {
    this.#settings = settings;
  }

  isHeld(message: ReceivedMessage): boolean {
    return this.#timers.has(message);
  }

  /** Runs it again after the delay. False when it has been here too long for that. */
  hold(failed: ReceivedMessage, delayMs: number): boolean {
    const { clock, maxHoldMs, onDue } = this.#settings;
    const since = this.#heldSince.get(failed.delivery) ?? clock.now();
    if (clock.now() - since + delayMs > maxHoldMs) return false;
    this.#heldSince.set(failed.delivery, since);
    failed.session.countRun(failed.delivery.deliveryTag);
    if (this.#isFinishing) {
      returnToQueue(failed);
      return true;
    }
    const due = () => {
      this.#timers.delete(failed);
      onDue(failed.again(), failed);
    };
    this.#timers.set(failed, clock.setTimeout(due, delayMs));
    return true;
  }

  /** The deliveries of a session are stale. */
  sessionLost(session: Session): void {
    for (const message of [...this.#timers.keys()]) if (message.session === session) this.#forget(message);
  }

  /** Gives back what is held, and from now on what would be. */
  finish(): void {
    this.#isFinishing = true;
    this.giveBack();
  }

  /** Gives back what is held. */
  giveBack(): void {
    for (const message of [...this.#timers.keys()]) {
      this.#forget(message);
      returnToQueue(message);
    }
  }

  #forget(message: ReceivedMessage): void {
    this.#settings.clock.clearTimeout(this.#timers.get(message) as Timer);
    this.#timers.delete(message);
  }
}

/** The server of a queue counts the failed run; that of a stream was counted here. */
function returnToQueue({ session, delivery }: ReceivedMessage): void {
  if (session.queueType === 'stream') session.requeueUnseen(delivery.deliveryTag);
  else session.requeueFailed(delivery.deliveryTag);
}
