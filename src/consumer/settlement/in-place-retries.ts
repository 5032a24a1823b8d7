import type { Clock } from '../../util/clock.js';
import type { ReceivedMessage } from '../delivery/message.js';
import type { Session } from '../session/session.js';
import { WaitingMessages } from './waiting-messages.js';

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
  readonly #waiting: WaitingMessages;
  /** When the first run of a delivery failed, for those that are retried. */
  readonly #since = new WeakMap<ReceivedMessage['delivery'], number>();
  #isFinishing = false;

  constructor(settings: InPlaceRetriesSettings) {
    this.#settings = settings;
    this.#waiting = new WaitingMessages(settings.clock);
  }

  has(message: ReceivedMessage): boolean {
    return this.#waiting.has(message);
  }

  /** Retries the message after the delay. Returns false when it would be retried here for too long. */
  retry(failed: ReceivedMessage, delayMs: number): boolean {
    const { clock, maxHoldMs } = this.#settings;
    const since = this.#since.get(failed.delivery) ?? clock.now();
    if (clock.now() - since + delayMs > maxHoldMs) return false;
    this.#since.set(failed.delivery, since);
    failed.session.countRun(failed.delivery.deliveryTag);
    if (this.#isFinishing) returnToQueue(failed);
    else this.#waiting.add(failed, delayMs, this.#due);
    return true;
  }

  readonly #due = (failed: ReceivedMessage) => this.#settings.onDue(failed.again(), failed);

  /** The deliveries of a session are stale. */
  sessionLost(session: Session): void {
    this.#waiting.discard((message) => message.session === session);
  }

  /** Requeues the waiting messages, and from now on every message that would wait. */
  finish(): void {
    this.#isFinishing = true;
    this.giveBack();
  }

  /** Requeues the waiting messages. */
  giveBack(): void {
    for (const [message] of this.#waiting.drain()) returnToQueue(message);
  }
}

/** A queue's server counts the failed run; that of a stream was counted here. */
function returnToQueue({ session, delivery }: ReceivedMessage): void {
  if (session.queueType === 'stream') session.requeueUnseen(delivery.deliveryTag);
  else session.requeueFailed(delivery.deliveryTag);
}
