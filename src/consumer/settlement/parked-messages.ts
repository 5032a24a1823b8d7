import { systemClock } from '../../util/clock.js';
import type { ReceivedMessage } from '../delivery/message.js';
import type { Session } from '../session/session.js';
import { WaitingMessages } from './waiting-messages.js';

/** How long a message may wait here in total: the server takes it back after 30 minutes. */
const MAX_PARKED_MS = 20 * 60_000;

/**
 * Messages that wait for something outside of this process, unacknowledged and without using up concurrency. Each comes back
 * unchanged, and without counting an attempt. Uses real time, because what they wait for does not follow a virtual clock.
 */
export class ParkedMessages {
  readonly #waiting = new WaitingMessages(systemClock);
  readonly #due: (parked: ReceivedMessage) => void;
  readonly #since = new WeakMap<ReceivedMessage['delivery'], number>();
  #isFinishing = false;

  /** @param onDue - called with a message whose time has come, as it is to be handled, and as it was parked */
  constructor(onDue: (message: ReceivedMessage, parked: ReceivedMessage) => void) {
    this.#due = (parked) => onDue(parked.anew(), parked);
  }

  has(message: ReceivedMessage): boolean {
    return this.#waiting.has(message);
  }

  park(message: ReceivedMessage, delayMs: number): void {
    const { delivery } = message;
    const since = this.#since.get(delivery) ?? systemClock.now();
    this.#since.set(delivery, since);
    const isTooLong = systemClock.now() - since + delayMs > MAX_PARKED_MS;
    if (this.#isFinishing || isTooLong) giveBack(message);
    else this.#waiting.add(message, delayMs, this.#due);
  }

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
    for (const [message] of this.#waiting.drain()) giveBack(message);
  }
}

function giveBack({ session, delivery }: ReceivedMessage): void {
  session.requeueUnseen(delivery.deliveryTag);
}
