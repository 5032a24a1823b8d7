import type { Clock, Timer } from '../../util/clock.js';
import type { ReceivedMessage } from '../delivery/message.js';
import type { Session } from '../session/session.js';

export interface InPlaceRetriesSettings {
  readonly clock: Clock;
  /** How long a message may be retried here in total, in milliseconds. */
  readonly maxHoldMs: number;
  /** The delay is over: the message to run, and the one whose run failed. */
  readonly onDue: (message: ReceivedMessage, failed: ReceivedMessage) => void;
}

/**
 * Messages that are retried here without losing their place: the only way on a stream, which cannot requeue, and the only one
 * that keeps an order. They stay unacknowledged meanwhile, so a crash redelivers them.
 */
export class InPlaceRetries {
  readonly #settings: InPlaceRetriesSettings;
  readonly #timers = new Map<ReceivedMessage, Timer>();
  /** When the first run of a delivery failed, for those that are retried. */
  readonly #since = new WeakMap<ReceivedMessage['delivery'], number>();
  #isFinishing = false;

  constructor(settings: InPlaceRetriesSettings) {
    this.#settings = settings;
  }

  has(message: ReceivedMessage): boolean {
    return this.#timers.has(message);
  }

  /** Retries the message after the delay. Returns false when it would be retried here for too long. */
  retry(failed: ReceivedMessage, delayMs: number): boolean {
    const { clock, maxHoldMs, onDue } = this.#settings;
    const since = this.#since.get(failed.delivery) ?? clock.now();
    if (clock.now() - since + delayMs > maxHoldMs) return false;
    this.#since.set(failed.delivery, since);
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

  /** Requeues the waiting messages, and from now on every message that would wait. */
  finish(): void {
    this.#isFinishing = true;
    this.giveBack();
  }

  /** Requeues the waiting messages. */
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

/** A queue's server counts the failed run; that of a stream was counted here. */
function returnToQueue({ session, delivery }: ReceivedMessage): void {
  if (session.queueType === 'stream') session.requeueUnseen(delivery.deliveryTag);
  else session.requeueFailed(delivery.deliveryTag);
}
