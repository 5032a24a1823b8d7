import type { Clock } from '../../util/clock.js';
import type { ReceivedMessage } from '../delivery/message.js';
import { MAX_HOLD_MS } from '../limits.js';
import type { Session } from '../session/session.js';
import { WaitingMessages } from './waiting-messages.js';

/** Messages whose verdict is not carried out yet: their copy is being published, or they rest in this process. */
export class VerdictsInProgress {
  readonly #resting: WaitingMessages;
  readonly #onDiscarded: (message: ReceivedMessage) => void;
  readonly #publishing = new Set<Promise<void>>();
  #isClosing = false;

  /** @param onDiscarded - called with each message whose verdict cannot be carried out any more */
  constructor(clock: Clock, onDiscarded: (message: ReceivedMessage) => void) {
    this.#onDiscarded = onDiscarded;
    this.#resting = new WaitingMessages(clock);
  }

  /** True once no message rests any more. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Continues with `then` when the copy is confirmed, and with `otherwise` when it cannot be published. */
  published(copy: Promise<void>, then: () => void, otherwise: (reason: unknown) => void): void {
    const carriedOut = copy.then(then, otherwise).finally(() => this.#publishing.delete(carriedOut));
    this.#publishing.add(carriedOut);
  }

  /** Keeps a message for a while, unacknowledged; `then` runs when its time has come. */
  rest(message: ReceivedMessage, delayMs: number, then: () => void): void {
    if (!message.session.isLive) this.#onDiscarded(message);
    else if (delayMs <= 0 || this.#isClosing) then();
    else this.#resting.add(message, Math.min(MAX_HOLD_MS, delayMs), then);
  }

  /** The deliveries of a session are stale: none of its messages at rest can be requeued any more. */
  sessionLost(session: Session): void {
    this.#discard((message) => message.session === session);
  }

  /** Discards the messages at rest without requeueing them: the channel is about to be closed. */
  abandon(): void {
    this.#discard(() => true);
  }

  /** From now on no message rests, and {@link settled} awaits what is left. */
  finish(): Promise<void> {
    this.#isClosing = true;
    return this.settled();
  }

  /** Ends the current rests, and resolves when every copy is confirmed or abandoned. */
  async settled(): Promise<void> {
    for (const [message, then] of this.#resting.drain()) then(message);
    while (this.#publishing.size > 0) await Promise.all(this.#publishing);
  }

  #discard(matches: (message: ReceivedMessage) => boolean): void {
    for (const message of this.#resting.discard(matches)) this.#onDiscarded(message);
  }
}
