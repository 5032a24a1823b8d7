import type { ReceivedMessage } from './message.js';
import type { Session } from './session.js';

/** The messages that came and that nobody has looked at yet, in order. Bounded by the prefetch. */
export class Inbox {
  #messages: ReceivedMessage[] = [];
  #head = 0;
  #isHeld = false;

  get length(): number {
    return this.#messages.length - this.#head;
  }

  push(message: ReceivedMessage): void {
    this.#messages.push(message);
  }

  /** Puts a message before all others. */
  putBack(message: ReceivedMessage): void {
    if (this.#head === 0) this.#messages.unshift(message);
    else this.#messages[--this.#head] = message;
  }

  /** The one that {@link take} would take. */
  get next(): ReceivedMessage | undefined {
    return this.#messages[this.#head];
  }

  /** Lets nobody take what is here and what comes, until `release`. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
  }

  take(): ReceivedMessage | undefined {
    return this.#isHeld ? undefined : this.#shift();
  }

  #shift(): ReceivedMessage | undefined {
    const message = this.#messages[this.#head];
    if (!message) return undefined;
    this.#head++;
    if (this.#head === this.#messages.length) {
      this.#messages.length = 0;
      this.#head = 0;
    } else if (this.#head >= 1_024) {
      this.#messages.splice(0, this.#head);
      this.#head = 0;
    }
    return message;
  }

  /** Forgets the messages of a session that is lost: the server delivers them again. */
  dropSession(session: Session): void {
    this.#messages = this.#messages.slice(this.#head).filter((message) => message.session !== session);
    this.#head = 0;
  }

  /** Gives every message back. */
  giveBack(): void {
    for (let message = this.#shift(); message; message = this.#shift()) {
      message.session.requeueUnseen(message.delivery.deliveryTag);
    }
  }
}
