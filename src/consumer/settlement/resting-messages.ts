import type { Clock, Timer } from '../../util/clock.js';
import type { ReceivedMessage } from '../delivery/message.js';

/** Messages that wait in this process, unacknowledged, because they cannot wait on the server. */
export class RestingMessages {
  readonly #clock: Clock;
  readonly #onDiscarded: (message: ReceivedMessage) => void;
  readonly #resting = new Map<ReceivedMessage, { readonly timer: Timer; readonly then: () => void }>();

  /** @param onDiscarded - called with each message whose time will not come */
  constructor(clock: Clock, onDiscarded: (message: ReceivedMessage) => void) {
    this.#clock = clock;
    this.#onDiscarded = onDiscarded;
  }

  /** Keeps a message for a while; `then` runs when its time has come. */
  rest(message: ReceivedMessage, delayMs: number, then: () => void): void {
    const timer = this.#clock.setTimeout(() => {
      this.#resting.delete(message);
      then();
    }, delayMs);
    this.#resting.set(message, { timer, then });
  }

  /** Ends the rest of every message at once, as if its time had come. */
  wakeAll(): void {
    for (const [message, { timer, then }] of [...this.#resting]) {
      this.#clock.clearTimeout(timer);
      this.#resting.delete(message);
      then();
    }
  }

  /** Drops messages: nothing more happens to them here. */
  discard(matches: (message: ReceivedMessage) => boolean): void {
    for (const [message, { timer }] of this.#resting) {
      if (!matches(message)) continue;
      this.#clock.clearTimeout(timer);
      this.#resting.delete(message);
      this.#onDiscarded(message);
    }
  }
}
