import { type Check, isWellFormed } from '../util/checks.js';

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

/** The header with the number of the attempt that a republished message is on. */
export const ATTEMPT_HEADER = 'leveret-attempt';

/** The header that names the queue whose attempts are counted, because each queue counts its own. */
export const ATTEMPT_QUEUE_HEADER = 'leveret-attempt-queue';

/** The header that every dead letter has, and no other message. */
export const FAILED_AT_HEADER = 'leveret-failed-at';

/** The header that says why a message is a dead letter, or why an answer is an error: `CODE: message`. */
export const ERROR_HEADER = 'leveret-error';

/** The header that names the queue in which a dead letter failed. */
export const FAILED_IN_HEADER = 'leveret-queue';

/** The header that lists, as JSON, the issues that a schema reported. */
export const ISSUES_HEADER = 'leveret-issues';

/** The headers that say where a message was sent to before it was republished for another attempt. */
export const ORIGIN_HEADERS = { exchange: 'leveret-exchange', routingKey: 'leveret-routing-key' } as const;

/** The size of valid headers, or what is wrong with them. */
export type HeadersCheck =
  | { readonly sizeBytes: number }
  | { readonly path: string; readonly expected: string };

/** Checks headers and estimates their size in bytes. */
export function checkHeaders(headers: Readonly<Record<string, unknown>>): HeadersCheck {
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    if (SERVER_HEADERS.test(name)) return { path: name, expected: 'left out: it belongs to the server' };
    // The server closes the channel over any other type, and everything else in flight on it is lost.
    if ((name === 'CC' || name === 'BCC') && !isTextList(value))
      return { path: name, expected: 'an array of routing keys' };
  }
  return tableSize(headers, '', 0, 'sent');
}

/**
 * Checks one header of a received message that is to be copied: besides what can be sent, it may hold values that amqplib
 * marks with their type.
 */
export function checkReceivedHeader(name: string, value: unknown): HeadersCheck {
  return tableSize({ [name]: value }, '', 0, 'received');
}

/** Expects a table that can be sent as the arguments of a declaration. */
export const expectTable: Check = (value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'an object';
  const checked = tableSize(value as Readonly<Record<string, unknown>>, '', 0, 'sent');
  return 'expected' in checked ? `an object whose '${checked.path}' is ${checked.expected}` : undefined;
};

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

function isForeign(name: string): boolean {
  if (name === 'CC' || name === 'BCC' || name.startsWith('leveret-delay-')) return true;
  return name.startsWith('x-') && (SERVER_HEADERS.test(name) || SERVER_TRACES.has(name));
}

function ownTable(
  table: object,
  depth: number,
  isLeftOut: (name: string) => boolean,
): Record<string, unknown> {
  const own: Record<string, unknown> = Object.create(null);
  // Too deep to be copied: copying it will report that.
  if (depth > MAX_DEPTH) return own;
  for (const [name, value] of Object.entries(table)) {
    if (!isLeftOut(name) && !mayPollute(name, value)) own[name] = ownValue(value, depth + 1);
  }
  return own;
}

function ownValue(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || isBytes(value)) return value;
  if (!Array.isArray(value)) return ownTable(value, depth, () => false);
  return depth > MAX_DEPTH ? [] : value.map((item) => ownValue(item, depth + 1));
}

/** Names through which careless merging code would write into a prototype. */
function mayPollute(name: string, value: unknown): boolean {
  if (name === '__proto__') return true;
  return (
    name === 'constructor' && typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype')
  );
}

/** Not by its prototype alone, which another client may have chosen. */
const isBytes = (value: unknown): value is Uint8Array =>
  ArrayBuffer.isView(value) && value instanceof Uint8Array;

/** Sent by a client, these would be taken for the server's own, and on 3.x for a dead-letter cycle that ends in a loss. */
const SERVER_HEADERS = /^x-(?:death|delivery-count|acquired-count|(?:first|last)-death-.*)$/;

/** Headers that record where a message has been, in a stream or on its way from another server. */
const SERVER_TRACES = new Set(['x-stream-offset', 'x-received-from', 'x-shovelled']);

/** Deeper than any sensible header, but not deep enough to exhaust the stack. */
const MAX_DEPTH = 32;

/** Where values come from: a caller, or a message that amqplib has decoded. */
type Source = 'sent' | 'received';

function tableSize(
  table: Readonly<Record<string, unknown>>,
  path: string,
  depth: number,
  source: Source,
): HeadersCheck {
  let sizeBytes = 4;
  for (const [name, value] of Object.entries(table)) {
    const at = path === '' ? name : `${path}.${name}`;
    const nameBytes = Buffer.byteLength(name);
    if (nameBytes > 255) return { path: at.slice(0, 60), expected: 'a name of at most 255 bytes' };
    if (value === undefined) continue;
    const expected = nameProblem(name, value, depth);
    if (expected) return { path: at.slice(0, 60), expected };
    const checked = valueSize(value, at, depth + 1, source);
    if ('expected' in checked) return checked;
    sizeBytes += 2 + nameBytes + checked.sizeBytes;
  }
  return { sizeBytes };
}

function nameProblem(name: string, value: unknown, depth: number): string | undefined {
  if (!isWellFormed(name)) return 'a name without lone surrogates, which UTF-8 cannot carry';
  if (mayPollute(name, value)) return 'left out: it reaches prototypes';
  // amqplib's way to choose the type of a value.
  return name === '!' && depth > 0
    ? "a name other than '!', which would choose the type of its object"
    : undefined;
}

function numberProblem(value: number): string | undefined {
  if (!Number.isFinite(value)) return 'a finite number';
  // amqplib writes these as integers of 64 bits, and throws for those that are no integers.
  const isFraction = Math.abs(value) >= 2 ** 50 && !Number.isInteger(value);
  return value < -(2 ** 63) || isFraction
    ? 'a number that AMQP can carry: -2^63 or more, without a fraction beyond 2^50'
    : undefined;
}

function valueSize(value: unknown, path: string, depth: number, source: Source): HeadersCheck {
  switch (typeof value) {
    case 'string':
      if (!isWellFormed(value))
        return { path, expected: 'text without lone surrogates, which UTF-8 cannot carry' };
      return { sizeBytes: 4 + Buffer.byteLength(value) };
    case 'boolean':
      return { sizeBytes: 1 };
    case 'number': {
      const expected = source === 'sent' || !Number.isFinite(value) ? numberProblem(value) : undefined;
      return expected ? { path, expected } : { sizeBytes: 8 };
    }
    case 'object':
      break;
    default:
      return { path, expected: 'a string, number, boolean, null, bytes, array or plain object' };
  }
  if (value === null) return { sizeBytes: 0 };
  if (isBytes(value)) return { sizeBytes: 4 + value.byteLength };
  if (depth > MAX_DEPTH) return { path, expected: `at most ${MAX_DEPTH} levels` };
  if (Array.isArray(value)) {
    let sizeBytes = 4;
    for (const [index, item] of value.entries()) {
      const checked = valueSize(item, `${path}.${index}`, depth + 1, source);
      if ('expected' in checked) return checked;
      sizeBytes += 1 + checked.sizeBytes;
    }
    return { sizeBytes };
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    return { path, expected: 'a string, number, boolean, null, bytes, array or plain object' };
  }
  if (source === 'received' && isTyped(value)) return { sizeBytes: TYPED_BYTES };
  return tableSize(value as Record<string, unknown>, path, depth, source);
}

/** The largest value that amqplib marks with its type. */
const TYPED_BYTES = 8;

/** amqplib's decoded form of a timestamp or a decimal, which it encodes again exactly. */
function isTyped(value: object): boolean {
  const {
    '!': type,
    value: content,
    ...rest
  } = value as { readonly '!'?: unknown; readonly value?: unknown };
  if (Object.keys(rest).length > 0) return false;
  if (type === 'timestamp') return isWhole(content, Number.MAX_SAFE_INTEGER);
  if (type !== 'decimal' || typeof content !== 'object' || content === null) return false;
  const { places, digits, ...more } = content as { readonly places?: unknown; readonly digits?: unknown };
  return Object.keys(more).length === 0 && isWhole(places, 255) && isWhole(digits, 2 ** 32 - 1);
}

function isWhole(value: unknown, max: number): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
}
