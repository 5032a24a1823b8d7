import {
  BufferFullError,
  ClosedError,
  RejectedError,
  TimeoutError,
  TopologyError,
  UnroutableError,
} from '../../errors.js';
import type { Connection } from '../../transport/connection/connection.js';
import type { TransportError } from '../../transport/port.js';
import { toMessageError } from '../../transport/public-errors.js';
import type { PendingSend } from './pending-send.js';

/** Creates the errors of sends to one target, and says in them what happened to the message. */
export class SendErrors {
  /** Such as `the queue 'emails'`. */
  readonly #target: string;
  readonly #connection: Connection;
  /** Why the last attempt to open a channel failed; undefined once there is a channel. */
  obstacle: Error | undefined;

  constructor(target: string, connection: Connection) {
    this.#target = target;
    this.#connection = connection;
  }

  timeout({ timeoutMs, handedOver, pendingContent }: PendingSend): TimeoutError {
    if (pendingContent) {
      const reason = `${pendingContent.waitsFor()} within ${timeoutMs} ms`;
      return new TimeoutError(reason, { maybeDelivered: false });
    }
    const what = handedOver ? 'was not confirmed' : 'could not be sent';
    const message = `The message for ${this.#target} ${what} within ${timeoutMs} ms${this.#circumstances()}`;
    return new TimeoutError(message, { maybeDelivered: handedOver });
  }

  closed(maybeDelivered: boolean, cause?: Error): ClosedError {
    const reason = cause ? cause.message : 'the producer is closed';
    const options = cause ? { maybeDelivered, cause } : { maybeDelivered };
    const what = maybeDelivered ? 'was not confirmed' : 'was not sent';
    return new ClosedError(`The message for ${this.#target} ${what}: ${reason}`, options);
  }

  /** The error of a message for which no channel can be opened. */
  noChannel({ handedOver }: PendingSend, error: Error): Error {
    return error instanceof TopologyError ? error : this.closed(handedOver, error);
  }

  full(maxBuffered: number): BufferFullError {
    return new BufferFullError(
      `The send buffer for ${this.#target} is full (limit: ${maxBuffered} messages or 64 MiB)${this.#circumstances()}. ` +
        `Await earlier sends, or raise 'maxBuffered'`,
    );
  }

  rejected(): RejectedError {
    return new RejectedError(
      `The server refused the message for ${this.#target} (basic.nack): the queue is full or cannot store it`,
    );
  }

  unroutable({ message: { exchange, routingKey }, returned }: PendingSend): UnroutableError {
    const where = exchange === '' ? this.#target : `${this.#target} with the routing key '${routingKey}'`;
    const message = `The message for ${where} is unroutable (${returned}). ${ADVICE[exchange === '' ? 'queue' : 'exchange']}`;
    return new UnroutableError(message, exchange, routingKey);
  }

  /** The error for a message that would make the server close the channel again; undefined if the message may be sent again. */
  refusal({ message }: PendingSend, error: TransportError): unknown {
    return toMessageError(error, message, this.#target);
  }

  #circumstances(): string {
    const { current, state } = this.#connection;
    if (current?.blocked !== undefined) return ` (the server blocks publishing: ${current.blocked})`;
    const error = 'error' in state && state.error ? state.error : this.obstacle;
    return error ? ` (${error.message})` : '';
  }
}

const ADVICE = {
  queue: 'Declare the queue first, or let the contract declare it',
  exchange:
    "Bind a queue to the exchange, or send with 'mandatory: false' if no queue needs to receive the message",
};
