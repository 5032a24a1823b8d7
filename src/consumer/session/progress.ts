import type { ConsumeOptions, Delivery } from '../../transport/port.js';
import type { DeliveryRing } from './delivery-ring.js';
import { offsetIn, type StreamPosition } from './stream-position.js';

/** The records of a session's messages that the server does not keep. */
export interface SessionProgress {
  /** The server takes messages back, and delivers them again. */
  readonly canRequeue: boolean;
  /** The options for consuming from where the consumer is. */
  consumeOptions(options: ConsumeOptions): ConsumeOptions;
  /** Consuming begins, or begins again. */
  begun(): void;
  /** Returns false for a message that this consumer has handled before. */
  delivered(tag: number): boolean;
  handled(tag: number): void;
  /** A run of the handler has failed. */
  failed(tag: number): void;
  /** The failed runs before this delivery that the server has not counted. */
  runsOf(tag: number): number;
  /** The message was not handled, and has to be delivered again once consuming continues. */
  missed(tag: number): void;
  /** The session has ended. */
  lost(): void;
}

/** The progress of a queue: the server keeps it. */
export const queueProgress: SessionProgress = {
  canRequeue: true,
  consumeOptions: (options) => options,
  begun: () => {},
  delivered: () => true,
  handled: () => {},
  failed: () => {},
  runsOf: () => 0,
  missed: () => {},
  lost: () => {},
};

/** The progress of a stream, which cannot requeue: the consumer counts runs, and knows where to continue. */
export class StreamProgress implements SessionProgress {
  readonly canRequeue = false;
  readonly #position: StreamPosition;
  readonly #unsettled: DeliveryRing;

  constructor(position: StreamPosition, unsettled: DeliveryRing) {
    this.#position = position;
    this.#unsettled = unsettled;
  }

  consumeOptions(options: ConsumeOptions): ConsumeOptions {
    return { ...options, arguments: { ...options.arguments, 'x-stream-offset': this.#position.argument } };
  }

  begun(): void {
    this.#position.begun();
  }

  delivered(tag: number): boolean {
    return this.#position.delivered(this.#offset(tag), this);
  }

  handled(tag: number): void {
    this.#position.handled(this.#offset(tag), this);
  }

  failed(tag: number): void {
    this.#position.failed(this.#offset(tag));
  }

  runsOf(tag: number): number {
    return this.#position.runsOf(this.#offset(tag));
  }

  missed(tag: number): void {
    this.#position.missed(this.#offset(tag), this);
  }

  lost(): void {
    this.#position.lost(this);
  }

  #offset(tag: number): number {
    const delivery: Delivery | undefined = this.#unsettled.get(tag);
    return offsetIn(delivery?.properties.headers) ?? -1;
  }
}
