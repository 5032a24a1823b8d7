import type { Check } from '../util/checks.js';
import {
  checkTable,
  isBytes,
  MAX_TABLE_DEPTH,
  mayPollute,
  numberProblem,
  type TableCheck,
} from '../util/table-check.js';

/** Message headers: which may be sent, how large they are, and which are copied from one message to the next. */

/** The values that a header can hold. */
export type HeaderValue =
  | string
  | number
  | boolean
  | null
  | Uint8Array
  | readonly HeaderValue[]
  | { readonly [key: string]: HeaderValue };

/** The most bytes of all headers of one message together: they have to fit one frame, and amqplib's table 64 KiB. */
export const MAX_HEADERS_BYTES = 60 * 1024;

/** The longest text of an error in a header. */
export const MAX_TEXT_BYTES = 2_048;

/** The header with the number of the attempt that a republished message is on. */
export const ATTEMPT_HEADER = 'leveret-attempt';

/** The header that names the queue whose attempts are counted, because each queue counts its own. */
export const ATTEMPT_QUEUE_HEADER = 'leveret-attempt-queue';

/** The header that every dead letter has, and no other message. */
export const FAILED_AT_HEADER = 'leveret-failed-at';

/**
 * The header of a dead letter that was put back: the time at which it had failed. Without it, a consumer could take the message for
 * the one that it remembers as settled.
 */
export const REPLAYED_HEADER = 'leveret-replayed';

/** The header that says why a message is a dead letter, or why an answer is an error: `CODE: message`. */
export const ERROR_HEADER = 'leveret-error';

/** The header that names the queue in which a dead letter failed. */
export const FAILED_IN_HEADER = 'leveret-queue';

/** The header that lists, as JSON, the issues that a schema reported. */
export const ISSUES_HEADER = 'leveret-issues';

/** The headers that say where a message was sent to before it was republished for another attempt. */
export const ORIGIN_HEADERS = { exchange: 'leveret-exchange', routingKey: 'leveret-routing-key' } as const;

/** Checks headers and estimates their size in bytes. */
export function checkHeaders(headers: Readonly<Record<string, unknown>>): TableCheck {
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    if (SERVER_HEADERS.test(name)) return { path: name, expected: 'left out: it is reserved for the server' };
    // The server closes the channel over any other type, and everything else in flight on it is lost.
    if ((name === 'CC' || name === 'BCC') && !isTextList(value))
      return { path: name, expected: 'an array of routing keys' };
  }
  return checkTable(headers, 'sent');
}

/**
 * Checks one header of a received message that is to be copied: besides what can be sent, it may hold values that amqplib
 * marks with their type.
 */
export function checkReceivedHeader(name: string, value: unknown): TableCheck {
  return checkTable({ [name]: value }, 'received');
}

/**
 * Expects the value of the option `headers`. A `Map` or a fetch API's `Headers` has no keys of its own: all its contents
 * would be lost.
 */
export const expectHeaders: Check = (value) =>
  typeof value === 'object' && value !== null && !(Symbol.iterator in value) ? undefined : 'a plain object';

const isTextList = (value: unknown) =>
  Array.isArray(value) && value.every((it) => typeof it === 'string' && Buffer.byteLength(it) <= 255);

/** A deep copy of headers that passed {@link checkHeaders}, in the types that amqplib encodes. */
export function copyHeaders(headers: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const copied = Object.entries(headers).map(([name, value]) => [name, copyValue(value)] as const);
  return Object.fromEntries(copied.filter(([, value]) => value !== undefined));
}

function copyValue(value: unknown): unknown {
  // Only a number of another client gets here that amqplib would take for an integer.
  if (typeof value === 'number' && numberProblem(value)) return { '!': 'double', value };
  if (typeof value !== 'object' || value === null) return value;
  if (isBytes(value)) return Buffer.from(value);
  return Array.isArray(value) ? value.map(copyValue) : copyHeaders(value as Record<string, unknown>);
}

/** Cuts a text between characters, and replaces lone surrogates, which no header can hold. */
export function cutText(text: string, maxBytes = MAX_TEXT_BYTES): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return bytes.toString();
  let end = maxBytes - 3;
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return `${bytes.toString('utf8', 0, end)}…`;
}

/**
 * The headers of a received message that belong to its sender. The headers of the server (such as `x-death`) and of a delay
 * are left out, and so are `CC` and `BCC`, which would route a copy again. No table in the result has a prototype, so that no
 * name can reach one: amqplib makes the value of `__proto__` in a table the prototype of the object that it decodes the table
 * to.
 */
export function ownHeaders(headers: unknown): Record<string, unknown> {
  if (typeof headers !== 'object' || headers === null) return Object.create(null);
  return ownTable(headers, 0, isForeign);
}

/** The same without Leveret's own headers: what a sender, with any client, has written. */
export function sendersHeaders(headers: unknown): Record<string, unknown> {
  const own = ownHeaders(headers);
  for (const name of Object.keys(own)) if (name.startsWith('leveret-')) delete own[name];
  return own;
}

/** All headers of a received message but those of the server, so that it can go on as it is. */
export function transitHeaders(headers: unknown): Record<string, unknown> {
  if (typeof headers !== 'object' || headers === null) return {};
  return copyHeaders(ownTable(headers, 0, isOfServer));
}

function isForeign(name: string): boolean {
  return name === 'CC' || name === 'BCC' || name.startsWith('leveret-delay-') || isOfServer(name);
}

function isOfServer(name: string): boolean {
  return name.startsWith('x-') && (SERVER_HEADERS.test(name) || SERVER_TRACES.has(name));
}

function ownTable(
  table: object,
  depth: number,
  isLeftOut: (name: string) => boolean,
): Record<string, unknown> {
  const own: Record<string, unknown> = Object.create(null);
  // Too deep to be copied: copying it will report that.
  if (depth > MAX_TABLE_DEPTH) return own;
  for (const [name, value] of Object.entries(table)) {
    if (!isLeftOut(name) && !mayPollute(name, value)) own[name] = ownValue(value, depth + 1);
  }
  return own;
}

function ownValue(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || isBytes(value)) return value;
  if (!Array.isArray(value)) return ownTable(value, depth, () => false);
  return depth > MAX_TABLE_DEPTH ? [] : value.map((item) => ownValue(item, depth + 1));
}

/** The server would take these for its own, and on 3.x for a dead-letter cycle, which loses the message. */
const SERVER_HEADERS = /^x-(?:death|delivery-count|acquired-count|(?:first|last)-death-.*)$/;

/** Headers that record where a message has been, in a stream or on its way from another server. */
const SERVER_TRACES = new Set(['x-stream-offset', 'x-received-from', 'x-shovelled']);
