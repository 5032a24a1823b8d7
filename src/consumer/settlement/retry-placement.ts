import type { QueueContract } from '../../contracts/types.js';
import { TopologyError } from '../../errors.js';
import type { Events } from '../../event-emitter.js';
import type { Republisher } from '../../producer/republisher.js';
import type { Clock } from '../../util/clock.js';
import type { ReceivedMessage } from '../delivery/message.js';
import type { VerdictsInProgress } from './verdicts-in-progress.js';

/** How long a message waits here if its copy could not be published, before it is requeued: a bare requeue would spin. */
const SETBACK_MS = 1_000;

export interface RetryPlacementSettings {
  readonly contract: QueueContract;
  readonly republisher: Republisher;
  readonly events: Events;
  readonly clock: Clock;
  readonly inProgress: VerdictsInProgress;
  /** Retries a message in place. Returns false, or is absent, when the message has to leave its place. */
  readonly retryInPlace?: ((message: ReceivedMessage, delayMs: number) => boolean | undefined) | undefined;
  /** The copy is confirmed: its message can be acknowledged. */
  readonly onPlaced: (message: ReceivedMessage) => void;
}

/** Publishes the copies for retries, which carry the attempt count and wait on the server. */
export class RetryPlacement {
  readonly #settings: RetryPlacementSettings;

  constructor(settings: RetryPlacementSettings) {
    this.#settings = settings;
  }

  /** Publishes the copy of a message, to be delivered after the delay. */
  place(message: ReceivedMessage, delayMs: number): void {
    const { contract, clock, inProgress } = this.#settings;
    if (contract.exclusive) {
      // Only the queue's own connection can bind it, and that one does not publish; it also dies with that connection.
      inProgress.rest(message, delayMs, () => this.#publish(message, undefined));
      return;
    }
    this.#publish(message, delayMs > 0 ? clock.now() + delayMs : undefined);
  }

  /** Requeues a message whose copy or answer could not be published: when its time comes, and not at once. */
  setBack(message: ReceivedMessage, reason: unknown, dueAt?: number): void {
    message.verdictTrace?.fail(reason);
    this.#settings.inProgress.rest(message, this.#restMs(dueAt), () => this.#giveBack(message));
  }

  #publish(message: ReceivedMessage, dueAt: number | undefined): void {
    const { contract, republisher, inProgress, onPlaced } = this.#settings;
    inProgress.published(
      republisher.retry(message, contract, dueAt),
      () => onPlaced(message),
      (reason) => {
        if (reason instanceof TopologyError && dueAt !== undefined)
          this.#delayRefused(message, dueAt, reason);
        else this.setBack(message, reason, dueAt);
      },
    );
  }

  /**
   * The server refuses to delay the copy, mostly because this user may not use the delays. The message rests here, and its
   * copy is not delayed. Requeued, it would lose the count of its attempts on a queue that does not count itself.
   */
  #delayRefused(message: ReceivedMessage, dueAt: number, reason: TopologyError): void {
    const { contract, events, inProgress } = this.#settings;
    const text = `Leveret: a retry of the queue '${contract.name}' cannot be delayed on the server, and waits in this process`;
    events.warn('LEVERET_RETRY_DELAY', contract.name, `${text}: ${reason.message}`);
    inProgress.rest(message, this.#restMs(dueAt), () => this.#publish(message, undefined));
  }

  #restMs(dueAt = Number.NEGATIVE_INFINITY): number {
    return Math.max(SETBACK_MS, dueAt - this.#settings.clock.now());
  }

  #giveBack(message: ReceivedMessage): void {
    if (this.#settings.retryInPlace?.(message, 0)) return;
    message.session.requeueFailed(message.delivery.deliveryTag);
  }
}
