import { type Check, isWellFormed } from './checks.js';

/** Checks the values of AMQP tables: the headers of a message, and the arguments of a declaration. */

/** The size of a valid table, or the first fault in an invalid one. */
export type TableCheck =
  | { readonly sizeBytes: number }
  | { readonly path: string; readonly expected: string };

/** Deeper than any sensible header, but not deep enough to exhaust the stack. */
export const MAX_TABLE_DEPTH = 32;

/** The source of values: a caller, or a message that amqplib has decoded. */
export type TableSource = 'sent' | 'received';

/** Checks a table and estimates its size in bytes. */
export function checkTable(table: Readonly<Record<string, unknown>>, source: TableSource): TableCheck {
  return tableSize(table, '', 0, source);
}

/** Expects a table that can be sent as the arguments of a declaration. */
export const expectTable: Check = (value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'an object';
  const checked = checkTable(value as Readonly<Record<string, unknown>>, 'sent');
  return 'expected' in checked ? `an object whose '${checked.path}' is ${checked.expected}` : undefined;
};

/** True for names through which careless merging code would write into a prototype. */
export function mayPollute(name: string, value: unknown): boolean {
  if (name === '__proto__') return true;
  return (
    name === 'constructor' && typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype')
  );
}

/** True for bytes. The prototype alone proves nothing, because a caller can set it on any object. */
export const isBytes = (value: unknown): value is Uint8Array =>
  ArrayBuffer.isView(value) && value instanceof Uint8Array;

function tableSize(
  table: Readonly<Record<string, unknown>>,
  path: string,
  depth: number,
  source: TableSource,
): TableCheck {
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
  // With this name, amqplib chooses the type of a value.
  return name === '!' && depth > 0
    ? "a name other than '!', which would choose the type of its object"
    : undefined;
}

export function numberProblem(value: number): string | undefined {
  if (!Number.isFinite(value)) return 'a finite number';
  // amqplib writes these as integers of 64 bits, and throws for those that are no integers.
  const isFraction = Math.abs(value) >= 2 ** 50 && !Number.isInteger(value);
  return value < -(2 ** 63) || isFraction
    ? 'a number that AMQP can carry: -2^63 or more, without a fraction beyond 2^50'
    : undefined;
}

function valueSize(value: unknown, path: string, depth: number, source: TableSource): TableCheck {
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
  if (depth > MAX_TABLE_DEPTH) return { path, expected: `at most ${MAX_TABLE_DEPTH} levels` };
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
