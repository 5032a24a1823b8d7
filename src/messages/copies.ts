import { randomUUID } from 'node:crypto';
import type { QueueContract } from '../contracts/types.js';
import { type Issue, ValidationError } from '../errors.js';
import {
  type Delivery,
  type MessageProperties,
  type OutgoingMessage,
  RETURN_ID_HEADER,
} from '../transport/port.js';
import { errorText } from './error-text.js';
import {
  ATTEMPT_HEADER,
  ATTEMPT_QUEUE_HEADER,
  checkHeaders,
  checkReceivedHeader,
  copyHeaders,
  cutText,
  ERROR_HEADER,
  FAILED_AT_HEADER,
  FAILED_IN_HEADER,
  ISSUES_HEADER,
  MAX_HEADERS_BYTES,
  MAX_TEXT_BYTES,
  ORIGIN_HEADERS,
  ownHeaders,
  REPLAYED_HEADER,
} from './headers.js';
import { headerIn, headersOf } from './properties.js';

/** Headers of a copy that lacks headers of its original: that it does, and their names. */
const HAS_DROPPED_HEADER = 'leveret-headers-dropped';
const DROPPED_NAMES_HEADER = 'leveret-dropped-headers';

const KEPT_ON_REPLAY: ReadonlySet<string> = new Set([
  HAS_DROPPED_HEADER,
  DROPPED_NAMES_HEADER,
  RETURN_ID_HEADER,
  REPLAYED_HEADER,
]);

/** How many of the headers that could not be copied are named. */
const MAX_NAMED = 20;
/** The most bytes that a property holds, an AMQP short string. */
const MAX_SHORT_TEXT_BYTES = 255;

/** The message that is copied. */
export interface CopySource {
  readonly delivery: Delivery;
  /** Which run of the handler failed, from 1. */
  readonly attempt: number;
  /** Where the message was sent to, before any copy. */
  readonly exchange: string;
  readonly routingKey: string;
}

/** The options of a copy. */
export interface CopyOptions {
  /** Leaves out the sender's headers, because they cannot be encoded again. */
  readonly withoutHeaders: boolean;
}

/** The message as a dead letter: with its body, id and headers, and headers that say why. */
export function deadLetterCopy(
  message: CopySource,
  { name, deadLetter = '' }: QueueContract,
  error: unknown,
  failedAt: Date,
  options: CopyOptions,
): OutgoingMessage {
  const copy = copyTo(deadLetter, message, options, {
    ...originHeadersOf(message),
    [ERROR_HEADER]: errorText(error),
    [ATTEMPT_HEADER]: message.attempt,
    [FAILED_IN_HEADER]: name,
    [FAILED_AT_HEADER]: failedAt.toISOString(),
    ...(error instanceof ValidationError ? { [ISSUES_HEADER]: issuesText(error.issues) } : undefined),
  });
  const { exchange, routingKey } = ORIGIN_HEADERS;
  return without(copy, ATTEMPT_QUEUE_HEADER, ...(message.exchange === '' ? [exchange, routingKey] : []));
}

/** The message for another attempt, at the end of its queue. */
export function retryCopy(
  message: CopySource,
  { name }: QueueContract,
  options: CopyOptions,
): OutgoingMessage {
  const copy = copyTo(name, message, options, {
    [ATTEMPT_HEADER]: message.attempt + 1,
    [ATTEMPT_QUEUE_HEADER]: name,
    ...originHeadersOf(message),
  });
  // With this header, the attempts of a dead letter's copy would not count, as they were counted for another queue's handler.
  return without(copy, FAILED_AT_HEADER);
}

/** Tells the receiver of the copy where the message was sent to. Not needed for one that was sent to the queue itself. */
function originHeadersOf({ exchange, routingKey }: CopySource): Record<string, unknown> {
  return exchange === ''
    ? {}
    : { [ORIGIN_HEADERS.exchange]: exchange, [ORIGIN_HEADERS.routingKey]: routingKey };
}

function without(copy: OutgoingMessage, ...names: readonly string[]): OutgoingMessage {
  const headers = { ...copy.properties.headers };
  for (const name of names) delete headers[name];
  return { ...copy, properties: { ...copy.properties, headers } };
}

/** A dead letter for a new first attempt. One header with the time of the failure replaces those of {@link deadLetterCopy}. */
export function replayCopy(
  delivery: Delivery,
  { name }: QueueContract,
  options: CopyOptions,
): OutgoingMessage {
  const failedAt = headerIn(headersOf(delivery.properties), FAILED_AT_HEADER);
  const added = typeof failedAt === 'string' ? { [REPLAYED_HEADER]: cutText(failedAt, 255) } : {};
  const copy = copyTo(name, { delivery }, options, added);
  const { headers, ...properties } = copy.properties;
  const kept = Object.entries(headers ?? {}).filter(
    ([name]) => !name.startsWith('leveret-') || KEPT_ON_REPLAY.has(name),
  );
  return { ...copy, properties: { ...properties, headers: Object.fromEntries(kept) } };
}

function copyTo(
  queue: string,
  { delivery }: Pick<CopySource, 'delivery'>,
  { withoutHeaders }: CopyOptions,
  added: Readonly<Record<string, unknown>>,
): OutgoingMessage {
  const own = ownHeaders(delivery.properties.headers);
  // These issues are from a time when the message was a dead letter before.
  if (FAILED_AT_HEADER in added) delete own[ISSUES_HEADER];
  for (const name of [...Object.keys(added), RETURN_ID_HEADER]) delete own[name];
  const properties = sameProperties(delivery.properties);
  // The message is not given an id: its handler would see another one in each attempt.
  const returnId = properties.messageId === undefined ? { [RETURN_ID_HEADER]: randomUUID() } : undefined;
  const { kept, dropped } = withoutHeaders
    ? { kept: {}, dropped: Object.keys(own) }
    : copyable(own, MAX_HEADERS_BYTES - sizeOf(added));
  return {
    exchange: '',
    routingKey: queue,
    mandatory: true,
    content: delivery.content,
    properties: {
      ...properties,
      headers: {
        ...copyHeaders(kept),
        ...added,
        ...returnId,
        ...(dropped.length > 0 && droppedHeaders(dropped)),
      },
    },
  };
}

/**
 * The headers that can be copied, and the names of the others: those that cannot be sent again, and the largest ones if all
 * together are too large.
 */
function copyable(own: Readonly<Record<string, unknown>>, maxBytes: number) {
  const dropped: string[] = [];
  const sizes: { readonly name: string; readonly sizeBytes: number }[] = [];
  for (const [name, value] of Object.entries(own)) {
    const checked = checkReceivedHeader(name, value);
    if ('sizeBytes' in checked) sizes.push({ name, sizeBytes: checked.sizeBytes });
    else dropped.push(name);
  }
  let totalBytes = sizes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  sizes.sort((a, b) => b.sizeBytes - a.sizeBytes);
  for (const { name, sizeBytes } of sizes) {
    if (totalBytes <= maxBytes) break;
    totalBytes -= sizeBytes;
    dropped.push(name);
  }
  const kept = Object.fromEntries(Object.entries(own).filter(([name]) => !dropped.includes(name)));
  return { kept, dropped };
}

function sizeOf(headers: Readonly<Record<string, unknown>>): number {
  const checked = checkHeaders(headers);
  return ('sizeBytes' in checked ? checked.sizeBytes : 0) + DROPPED_BYTES;
}

/** The bytes that are reserved for the names of headers that are left out. */
const DROPPED_BYTES = MAX_NAMED * 300;

function droppedHeaders(names: readonly string[]): Record<string, unknown> {
  const named = names.slice(0, MAX_NAMED).map((name) => cutText(name, 255));
  return { [HAS_DROPPED_HEADER]: true, [DROPPED_NAMES_HEADER]: named };
}

/** The copied properties. Expiration and user id are left out: the copy must not expire, and is not sent by that user. */
function sameProperties(properties: Delivery['properties']): MessageProperties {
  const { priority, timestamp } = properties;
  // A text that was not valid UTF-8 has grown, because amqplib replaces one wrong byte by three: it may be too long now.
  const text = (value: unknown) =>
    typeof value === 'string' && Buffer.byteLength(value) <= MAX_SHORT_TEXT_BYTES ? value : undefined;
  return {
    contentType: text(properties.contentType),
    contentEncoding: text(properties.contentEncoding),
    deliveryMode: 2,
    priority: typeof priority === 'number' ? priority : undefined,
    correlationId: text(properties.correlationId),
    replyTo: text(properties.replyTo),
    messageId: text(properties.messageId) || undefined,
    timestamp: typeof timestamp === 'number' ? timestamp : undefined,
    type: text(properties.type),
    appId: text(properties.appId),
  };
}

/** As many issues as fit, as JSON: an array of `{ path, message }`. */
function issuesText(issues: readonly Issue[]): string {
  for (let length = issues.length; length > 0; length--) {
    const text = JSON.stringify(
      issues.slice(0, length).map(({ path, message }) => ({ path, message: cutText(message, 200) })),
    );
    if (Buffer.byteLength(text) <= 4 * MAX_TEXT_BYTES) return text;
  }
  return '[]';
}
