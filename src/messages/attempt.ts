import type { QueueType } from '../contracts/types.js';
import type { Delivery } from '../transport/port.js';
import { ATTEMPT_HEADER, ATTEMPT_QUEUE_HEADER, FAILED_AT_HEADER } from './headers.js';
import { headerIn, headersOf, wholeNumber } from './properties.js';

/**
 * Which run of the handler a delivery is: the attempt that a republished copy carries, plus the failed runs since then.
 *
 * What the server tells of a redelivered message (measured on 3.10, 4.0 and 4.3):
 *
 * | queue          | x-delivery-count                            | x-acquired-count |
 * |----------------|---------------------------------------------|------------------|
 * | quorum, < 4.3  | every return, also of a message given back  | absent           |
 * | quorum, 4.3    | failed runs; absent before the first        | every delivery   |
 * | classic        | absent                                      | absent           |
 *
 * On a first delivery these headers are whatever the publisher, or the queue that dead-lettered it, left there.
 */
export function attemptOf(
  { redelivered, properties }: Delivery,
  queue: string,
  queueType: QueueType,
): number {
  const headers = headersOf(properties);
  const carried = isOfAnotherQueue(headers, queue) ? 0 : carriedAttempt(headers);
  return Math.max(1, carried) + (redelivered ? failedRuns(headers, queueType) : 0);
}

/**
 * True for a message that came back after it was delivered for its last attempt, to whatever process. Only a copy for another attempt
 * says that the ones before it were runs: of a first delivery the server counts messages that no handler has seen.
 */
export function isPastLastAttempt(
  delivery: Delivery,
  queue: string,
  queueType: QueueType,
  attempts: number,
): boolean {
  if (!delivery.redelivered) return false;
  const headers = headersOf(delivery.properties);
  const carried = isOfAnotherQueue(headers, queue) ? 0 : carriedAttempt(headers);
  return carried > 1 && attemptOf(delivery, queue, queueType) > attempts;
}

/** The attempt that a republished copy is for, whatever queue counted it; 0 for an original. */
export function carriedAttempt(headers: Readonly<Record<string, unknown>>): number {
  return countIn(headers, ATTEMPT_HEADER) ?? 0;
}

/**
 * True when the attempts were counted for another queue's handler: for a dead letter, or a message that the server has moved.
 */
function isOfAnotherQueue(headers: Readonly<Record<string, unknown>>, queue: string): boolean {
  if (Object.hasOwn(headers, FAILED_AT_HEADER)) return true;
  const counted = Object.hasOwn(headers, ATTEMPT_QUEUE_HEADER) ? headers[ATTEMPT_QUEUE_HEADER] : undefined;
  return typeof counted === 'string' && counted !== queue;
}

/** After this many redeliveries, a message is suspected of ending the processes that handle it. */
const SUSPICIOUS_RETURNS = 3;

/** True for a message that was redelivered so often that it may be the reason. Only quorum queues count. */
export function isSuspect({ redelivered, properties }: Delivery, queueType: QueueType): boolean {
  if (!redelivered || queueType !== 'quorum') return false;
  const headers = headersOf(properties);
  const returns = Math.max(
    countIn(headers, 'x-delivery-count') ?? 0,
    countIn(headers, 'x-acquired-count') ?? 0,
  );
  return returns >= SUSPICIOUS_RETURNS;
}

function failedRuns(headers: Readonly<Record<string, unknown>>, queueType: QueueType): number {
  if (queueType !== 'quorum') return 1;
  return countIn(headers, 'x-delivery-count') ?? (countIn(headers, 'x-acquired-count') === undefined ? 1 : 0);
}

function countIn(headers: Readonly<Record<string, unknown>>, name: string): number | undefined {
  const value = wholeNumber(headerIn(headers, name));
  return value !== undefined && value >= 0 ? value : undefined;
}
