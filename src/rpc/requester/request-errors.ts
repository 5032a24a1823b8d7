import {
  BufferFullError,
  ClosedError,
  ConfigurationError,
  ConnectionError,
  type Issue,
  RejectedError,
  RemoteError,
  TimeoutError,
  UnroutableError,
  ValidationError,
} from '../../errors.js';
import type { Connection } from '../../transport/connection/connection.js';
import type { TransportError } from '../../transport/port.js';
import { toMessageError } from '../../transport/public-errors.js';
import type { Failure } from '../failure.js';
import { targetOf } from '../target.js';
import { MAX_PENDING, type PendingRequest } from './pending-requests.js';

export function timeoutError(request: PendingRequest, connection: Connection): TimeoutError {
  const { procedure, timeoutMs, wasSent } = request;
  const what = wasSent
    ? `No response from ${targetOf(procedure)}`
    : `No connection for ${targetOf(procedure)}`;
  const why = request.circumstances ?? (wasSent ? undefined : obstacle(connection));
  return new TimeoutError(`${what} within ${timeoutMs} ms${why === undefined ? '' : `: ${why}`}`, {
    maybeDelivered: wasSent,
  });
}

function obstacle({ current, state }: Connection): string | undefined {
  if (current?.blocked !== undefined) return `the server blocks publishing: ${current.blocked}`;
  return 'error' in state ? state.error?.message : undefined;
}

export function slowSchemaError(name: string, timeoutMs: number): TimeoutError {
  return new TimeoutError(`The schema of ${targetOf({ name })} did not finish within ${timeoutMs} ms`);
}

export function closedError(name: string, wasSent: boolean): ClosedError {
  const outcome = wasSent ? 'was not answered' : 'was not sent';
  return new ClosedError(`The request to ${targetOf({ name })} ${outcome}: the broker is closed`, {
    maybeDelivered: wasSent,
  });
}

export function fullError(name: string): BufferFullError {
  return new BufferFullError(
    `Too many requests in flight (limit: ${MAX_PENDING} requests or 64 MiB). ` +
      `Await earlier ones before the next one to ${targetOf({ name })}`,
  );
}

export function unroutableError({ procedure }: PendingRequest, replyText: string): UnroutableError {
  const message = `No responder is available for ${targetOf(procedure)}: its queue does not exist (${replyText})`;
  return new UnroutableError(message, '', procedure.name);
}

export function rejectedError({ procedure }: PendingRequest): RejectedError {
  return new RejectedError(
    `The server refused the request to ${targetOf(procedure)} (basic.nack): the queue is full or cannot store it`,
  );
}

export function encodingError({ procedure }: PendingRequest, cause: Error): ConfigurationError {
  const message = `${targetOf(procedure)}: the request cannot be encoded: ${cause.message}`;
  return new ConfigurationError('headers', message, { cause });
}

/** The channel is gone, and the reply address with it. */
export function lostError(request: PendingRequest, cause: TransportError): unknown {
  const target = targetOf(request.procedure);
  return (
    toMessageError(cause, request.message, target) ??
    new ConnectionError(
      'CONNECTION_FAILED',
      `The connection was lost before the response from ${target} arrived (${cause.message}). A responder may have processed the request`,
      { cause, maybeDelivered: true },
    )
  );
}

/** @param failure - as described by the answer */
export function remoteError({ procedure }: PendingRequest, { code, message }: Failure): RemoteError {
  const named = `The responder of ${targetOf(procedure)} failed: ${message}`;
  // The handler's own word for "try again".
  return new RemoteError(code, named, { retryable: code === 'RetryLater' });
}

export function invalidAnswerError({ procedure }: PendingRequest, issues: readonly Issue[]): RemoteError {
  const cause = new ValidationError(`the response from ${targetOf(procedure)}`, issues);
  return new RemoteError(cause.code, cause.message, { cause });
}
