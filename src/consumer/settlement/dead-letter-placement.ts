import type { QueueContract } from '../../contracts/types.js';
import type { Events } from '../../event-emitter.js';
import type { Republisher } from '../../producer/republisher.js';
import type { Clock } from '../../util/clock.js';
import type { ReceivedMessage } from '../delivery/message.js';
import { MAX_HOLD_MS } from '../limits.js';
import { GivenUpMessages } from './given-up.js';
import type { VerdictsInProgress } from './verdicts-in-progress.js';

export interface DeadLetterPlacementSettings {
  readonly contract: QueueContract;
  readonly republisher: Republisher;
  readonly events: Events;
  readonly clock: Clock;
  readonly inProgress: VerdictsInProgress;
  /** The dead letter is confirmed: its message can be acknowledged. */
  readonly onPlaced: (message: ReceivedMessage, error: unknown) => void;
}

/** Publishes dead letters. Until its dead letter is confirmed, a message stays where it is and its handler does not run again. */
export class DeadLetterPlacement {
  readonly #settings: DeadLetterPlacementSettings;
  readonly #givenUp: GivenUpMessages;

  constructor(settings: DeadLetterPlacementSettings) {
    this.#settings = settings;
    this.#givenUp = new GivenUpMessages(settings.clock);
  }

  /** Why dead letters cannot be published now. */
  get obstacle(): string | undefined {
    return this.#givenUp.obstacle;
  }

  /** Why a message that was redelivered was given up on before; undefined if it was not. */
  errorOf(message: ReceivedMessage): { readonly error: unknown } | undefined {
    return this.#givenUp.errorOf(message);
  }

  /** Publishes the dead letter of a message, again and again until it is confirmed. */
  place(message: ReceivedMessage, error: unknown, deadLetterQueue: string): void {
    const { contract, republisher, inProgress, onPlaced } = this.#settings;
    const { failedAt } = this.#givenUp.failedAt(message);
    inProgress.published(
      republisher.deadLetter(message, contract, error, failedAt),
      () => {
        this.#givenUp.forget(message);
        onPlaced(message, error);
      },
      (reason) => this.#notPlaced(message, error, deadLetterQueue, reason),
    );
  }

  /** Keeps the message, whose handler must not run again, and retries after a pause. */
  #notPlaced(message: ReceivedMessage, error: unknown, deadLetterQueue: string, given: unknown): void {
    const { contract, events, inProgress } = this.#settings;
    const reason = given instanceof Error ? given : new Error(String(given));
    const { failedAt, keptMs } = this.#givenUp.failedAt(message);
    const delayMs = this.#givenUp.notPlaced(message, error, failedAt, reason);
    const { id, attempt, session, delivery, verdictTrace } = message;
    verdictTrace?.fail(reason);
    events.emit('dead-letter-failed', {
      queue: contract.name,
      deadLetterQueue,
      messageId: id,
      attempt,
      error: reason,
      delayMs,
    });
    // The server would soon close the channel, with everything on it. A redelivery of the message is recognised.
    const isKeptTooLong = keptMs + delayMs > MAX_HOLD_MS * Math.ceil((keptMs + 1) / MAX_HOLD_MS);
    if (inProgress.isClosing) session.requeueFailed(delivery.deliveryTag);
    else if (isKeptTooLong) session.requeueUnseen(delivery.deliveryTag);
    else inProgress.rest(message, delayMs, () => this.place(message, error, deadLetterQueue));
  }
}
