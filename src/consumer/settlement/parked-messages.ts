import { systemClock, type Timer } from '../../util/clock.js';
import type { ReceivedMessage } from '../delivery/message.js';
import type { Session } from '../session/session.js';

/** How long a message may wait here in total: the server takes it back after 30 minutes. */
const MAX_PARKED_MS = 20 * 60_000;

/**
 * Messages that wait for something outside of this process, unacknowledged and without using up concurrency. Each comes back
 * unchanged, and without counting an attempt. Uses real time, because what they wait for does not follow a virtual clock.
 */
export class ParkedMessages {
  readonly #onDue: (message: ReceivedMessage, parked: ReceivedMessage) => void;
  readonly #timers = new Map<ReceivedMessage, Timer>();
  readonly #parkedSince = new WeakMap<ReceivedMessage['delivery'], number>();
  #isFinishing = false;

  constructor(onDue: (message: ReceivedMessage, parked: ReceivedMessage) => void) {
    this.#onDue = onDue;
  }

  has(message: ReceivedMessage): boolean {
    return this.#timers.has(message);
  }

  park(message: ReceivedMessage, delayMs: number): void {
    const { delivery } = message;
    const since = this.#parkedSince.get(delivery) ?? systemClock.now();
    this.#parkedSince.set(delivery, since);
    if (this.#isFinishing || systemClock.now() - since + delayMs > MAX_PARKED_MS) {
      giveBack(message);
      return;
    }
    const due = () => {
      this.#timers.delete(message);
      this.#onDue(message.anew(), message);
    };
    this.#timers.set(message, systemClock.setTimeout(due, delayMs));
  }

  /** The deliveries of a session are stale. */
  sessionLost(session: Session): void {
    for (const message of [...this.#timers.keys()]) if (message.session === session) this.#forget(message);
  }

  /** Requeues what is waiting, and from now on whatever would wait. */
  finish(): void {
    this.#isFinishing = true;
    this.giveBack();
  }

  /** Requeues what is waiting. */
  giveBack(): void {
    for (const message of [...this.#timers.keys()]) {
      this.#forget(message);
      giveBack(message);
    }
  }

  #forget(message: ReceivedMessage): void {
    systemClock.clearTimeout(this.#timers.get(message) as Timer);
    this.#timers.delete(message);
  }
}

function giveBack({ session, delivery }: ReceivedMessage): void {
  session.requeueUnseen(delivery.deliveryTag);
}
