import { Fifo } from '../../util/fifo.js';
import type { Session } from '../session/session.js';
import type { ReceivedMessage } from './message.js';

/** The delivered messages that no handler or loop has seen yet, in order. Bounded by the prefetch. */
export class PrefetchBuffer {
  #messages = new Fifo<ReceivedMessage>();
  #isStopped = false;

  get length(): number {
    return this.#messages.length;
  }

  push(message: ReceivedMessage): void {
    this.#messages.push(message);
  }

  /** Puts a message before all others. */
  putBack(message: ReceivedMessage): void {
    this.#messages.unshift(message);
  }

  /** The message that {@link take} would return. */
  get next(): ReceivedMessage | undefined {
    return this.#messages.first;
  }

  /** From now on hands out no message. */
  stopTaking(): void {
    this.#isStopped = true;
  }

  /** Hands out messages again. */
  resumeTaking(): void {
    this.#isStopped = false;
  }

  take(): ReceivedMessage | undefined {
    return this.#isStopped ? undefined : this.#messages.shift();
  }

  /** Discards the messages of a session that is lost, and returns them: the server redelivers them. */
  dropSession(session: Session): readonly ReceivedMessage[] {
    const all = [...this.#messages];
    this.#messages = new Fifo(all.filter((message) => message.session !== session));
    return all.filter((message) => message.session === session);
  }

  /** Requeues every message except this many of the oldest. */
  giveBack(kept = 0): void {
    const stay: ReceivedMessage[] = [];
    while (stay.length < kept) {
      const message = this.#messages.shift();
      if (!message) break;
      stay.push(message);
    }
    for (let message = this.#messages.shift(); message; message = this.#messages.shift()) {
      message.session.requeueUnseen(message.delivery.deliveryTag);
    }
    if (kept > 0) this.#messages = new Fifo(stay);
  }
}
