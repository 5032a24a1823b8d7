import { randomUUID } from 'node:crypto';
import type { ReceivedMessage } from '../consumer/delivery/message.js';
import type { QueueContract } from '../contracts/queue.js';
import { type Issue, isLeveretError, messageOf, ValidationError } from '../errors.js';
import type { Delivery, MessageProperties, OutgoingMessage } from '../transport/port.js';
import {
  ATTEMPT_HEADER,
  checkHeaders,
  copyHeaders,
  ERROR_HEADER,
  FAILED_AT_HEADER,
  FAILED_IN_HEADER,
  ISSUES_HEADER,
  MAX_HEADERS_BYTES,
  ORIGIN_HEADERS,
  ownHeaders,
} from './headers.js';

/** The longest text of an error, and of issues, in a header. */
const MAX_TEXT_BYTES = 2_048;

/** Says that a message had headers that could not be copied. */
const HEADERS_DROPPED = 'leveret-headers-dropped';
/** The most that a property holds, an AMQP short string. */
const MAX_SHORT_TEXT_BYTES = 255;

/** What to leave out of a copy. */
export interface CopyOptions {
  /** Leaves out the sender's headers, since they can not be encoded again. */
  readonly withoutHeaders: boolean;
}

/** The message as a dead letter: body, id and headers as they were, and headers that say why. */
export function deadLetterCopy(
  message: ReceivedMessage,
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
  return message.exchange === '' ? without(copy, ORIGIN_HEADERS.exchange, ORIGIN_HEADERS.routingKey) : copy;
}

/** The message for another attempt, at the end of its queue. */
export function retryCopy(
  message: ReceivedMessage,
  { name }: QueueContract,
  options: CopyOptions,
): OutgoingMessage {
  const copy = copyTo(name, message, options, {
    [ATTEMPT_HEADER]: message.attempt + 1,
    ...originHeadersOf(message),
  });
  // With it, the copy of a dead letter would not count: its attempts were those of another queue's handler.
  return without(copy, FAILED_AT_HEADER);
}

/** Who gets the copy sees where the message was sent to. To the queue itself: that needs no saying. */
function originHeadersOf({ exchange, routingKey }: ReceivedMessage): Record<string, unknown> {
  return exchange === ''
    ? {}
    : { [ORIGIN_HEADERS.exchange]: exchange, [ORIGIN_HEADERS.routingKey]: routingKey };
}

function without(copy: OutgoingMessage, ...names: readonly string[]): OutgoingMessage {
  const headers = { ...copy.properties.headers };
  for (const name of names) delete headers[name];
  return { ...copy, properties: { ...copy.properties, headers } };
}

/** A dead letter for another first attempt: without what `deadLetterCopy` added. */
export function replayCopy(
  delivery: Delivery,
  { name }: QueueContract,
  options: CopyOptions,
): OutgoingMessage {
  const copy = copyTo(name, { delivery }, options, {});
  const { headers, ...properties } = copy.properties;
  const kept = Object.entries(headers ?? {}).filter(
    ([name]) => !name.startsWith('leveret-') || name === HEADERS_DROPPED,
  );
  return { ...copy, properties: { ...properties, headers: Object.fromEntries(kept) } };
}

function copyTo(
  queue: string,
  { delivery }: Pick<ReceivedMessage, 'delivery'>,
  { withoutHeaders }: CopyOptions,
  added: Readonly<Record<string, unknown>>,
): OutgoingMessage {
  const own = withoutHeaders ? {} : ownHeaders(delivery.properties.headers);
  if (FAILED_AT_HEADER in added) {
    // Those of an earlier dead letter that this message was.
    delete own[ISSUES_HEADER];
    // Whoever looks at dead letters takes all of these for the server's.
    for (const name of Object.keys(own)) if (name.startsWith('x-')) delete own[name];
  }
  const whole = { ...own, ...added };
  const checked = checkHeaders(whole);
  const fits = 'sizeBytes' in checked && checked.sizeBytes <= MAX_HEADERS_BYTES && !withoutHeaders;
  return {
    exchange: '',
    routingKey: queue,
    mandatory: true,
    content: delivery.content,
    properties: {
      ...sameProperties(delivery.properties),
      headers: fits ? copyHeaders(whole) : { ...added, [HEADERS_DROPPED]: true },
    },
  };
}

/** Expiration and user id are left out: the copy must not expire, and is not sent by that user. */
function sameProperties(properties: ReceivedMessage['delivery']['properties']): MessageProperties {
  const { priority, timestamp } = properties;
  // A text that was no UTF-8 has grown, for amqplib has put three bytes where one was wrong: it may not fit any more.
  const text = (value: unknown) =>
    typeof value === 'string' && Buffer.byteLength(value) <= MAX_SHORT_TEXT_BYTES ? value : undefined;
  return {
    contentType: text(properties.contentType),
    contentEncoding: text(properties.contentEncoding),
    deliveryMode: 2,
    priority: typeof priority === 'number' ? priority : undefined,
    correlationId: text(properties.correlationId),
    replyTo: text(properties.replyTo),
    // The server names a message that comes back by nothing else.
    messageId: text(properties.messageId) || randomUUID(),
    timestamp: typeof timestamp === 'number' ? timestamp : undefined,
    type: text(properties.type),
    appId: text(properties.appId),
  };
}

/** As many issues as fit, as JSON: an array of `{ path, message }`. */
function issuesText(issues: readonly Issue[]): string {
  for (let length = issues.length; length > 0; length--) {
    const text = JSON.stringify(
      issues.slice(0, length).map(({ path, message }) => ({ path, message: cut(message, 200) })),
    );
    if (Buffer.byteLength(text) <= 4 * MAX_TEXT_BYTES) return text;
  }
  return '[]';
}

/** The code and the message of an error, as its header has them. */
export function errorText(error: unknown): string {
  return cut(`${codeOf(error)}: ${messageOf(error)}`);
}

/** Never throws, whatever was thrown: an error's code can be a getter. What is no string, such as a symbol, is no code. */
function codeOf(error: unknown): string {
  try {
    if (isLeveretError(error)) return error.code;
    // Not only of an `Error`: many clients throw plain objects, and test runners have errors of another realm.
    const { code, name } = Object(error) as { readonly code?: unknown; readonly name?: unknown };
    return [code, name].find((it): it is string => typeof it === 'string' && it !== '') ?? 'Error';
  } catch {
    return 'Error';
  }
}

/** Cuts at a character's border, and replaces halves of characters, which no header can hold. */
function cut(text: string, maxBytes = MAX_TEXT_BYTES): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return bytes.toString();
  let end = maxBytes - 3;
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return `${bytes.toString('utf8', 0, end)}…`;
}
