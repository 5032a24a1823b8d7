import { checkRoom } from './wire.js';

/** Field tables: headers and their values, in RabbitMQ's types (https://www.rabbitmq.com/amqp-0-9-1-errata#section_3). */

/** The most bytes of one table, as in amqplib. */
const MAX_TABLE_BYTES = 64 * 1024;

/** Deeper than any sensible header, but not deep enough to exhaust the stack. */
const MAX_DEPTH = 100;

/** amqplib's form of a value that names its type, for types that a JavaScript number does not express. */
interface Typed {
  readonly '!': unknown;
  readonly value: unknown;
}

const scratch = Buffer.allocUnsafeSlow(MAX_TABLE_BYTES);

/**
 * Encodes a table with its length in front. The result is valid until the next call. Values choose their type as in amqplib.
 *
 * @throws TypeError, RangeError for a value that a table cannot hold
 */
export function encodeTable(table: object): Buffer {
  return scratch.subarray(0, writeTable(table, 0));
}

function writeTable(table: object, start: number): number {
  let at = reserve(start, 4);
  for (const [name, value] of Object.entries(table)) {
    if (value === undefined) continue;
    const lengthBytes = Buffer.byteLength(name);
    reserve(at, 1 + lengthBytes);
    at = scratch.writeUInt8(lengthBytes, at);
    at += scratch.write(name, at);
    at = writeValue(value, at);
  }
  scratch.writeUInt32BE(at - start - 4, start);
  return at;
}

function writeArray(values: readonly unknown[], start: number): number {
  let at = reserve(start, 4);
  for (const value of values) at = writeValue(value, at);
  scratch.writeUInt32BE(at - start - 4, start);
  return at;
}

function writeValue(value: unknown, at: number): number {
  if (isTyped(value)) return writeAs(String(value['!']), value.value, at);
  return writeAs(typeof value === 'number' ? numberType(value) : typeof value, value, at);
}

function writeAs(type: string, value: unknown, at: number): number {
  switch (type) {
    case 'number':
      return writeAs(numberType(value as number), value, at);
    case 'string': {
      const lengthBytes = Buffer.byteLength(value as string);
      const to = scratch.writeUInt32BE(lengthBytes, tag('S', at, 4 + lengthBytes));
      return to + scratch.write(value as string, to);
    }
    case 'object':
      return writeObject(value as object | null, at);
    case 'boolean':
      return scratch.writeUInt8(value ? 1 : 0, tag('t', at, 1));
    case 'timestamp':
      return scratch.writeBigUInt64BE(BigInt(value as number), tag('T', at, 8));
    case 'decimal':
      return writeDecimal(value as { readonly places: number; readonly digits: number }, at);
    default: {
      const write = NUMBERS.get(type);
      if (!write) throw new TypeError(`a header cannot hold a value of the type '${type}'`);
      return write(value as number, at);
    }
  }
}

function writeObject(value: object | null, at: number): number {
  if (value === null) return tag('V', at, 0);
  if (Array.isArray(value)) return writeArray(value, tag('A', at, 0));
  if (!Buffer.isBuffer(value)) return writeTable(value, tag('F', at, 0));
  const to = scratch.writeUInt32BE(value.length, tag('x', at, 4 + value.length));
  return to + value.copy(scratch, to);
}

function writeDecimal({ places, digits }: { readonly places: number; readonly digits: number }, at: number) {
  if (!(places >= 0 && digits >= 0)) throw new TypeError("a decimal must have 'places' and 'digits'");
  return scratch.writeUInt32BE(digits, scratch.writeUInt8(places, tag('D', at, 5)));
}

type NumberWriter = (value: number, at: number) => number;

const writeDouble: NumberWriter = (value, at) => scratch.writeDoubleBE(value, tag('d', at, 8));
const writeInt8: NumberWriter = (value, at) => scratch.writeInt8(value, tag('b', at, 1));
const writeUint8: NumberWriter = (value, at) => scratch.writeUInt8(value, tag('B', at, 1));
const writeInt16: NumberWriter = (value, at) => scratch.writeInt16BE(value, tag('s', at, 2));
const writeUint16: NumberWriter = (value, at) => scratch.writeUInt16BE(value, tag('u', at, 2));
const writeInt32: NumberWriter = (value, at) => scratch.writeInt32BE(value, tag('I', at, 4));
const writeUint32: NumberWriter = (value, at) => scratch.writeUInt32BE(value, tag('i', at, 4));
const writeInt64: NumberWriter = (value, at) => scratch.writeBigInt64BE(BigInt(value), tag('l', at, 8));

/** The types of numbers, by each of their names. */
const NUMBERS: ReadonlyMap<string, NumberWriter> = new Map([
  ['float', (value, at) => scratch.writeFloatBE(value, tag('f', at, 4))],
  ['double', writeDouble],
  ['float64', writeDouble],
  ['byte', writeInt8],
  ['int8', writeInt8],
  ['unsignedbyte', writeUint8],
  ['uint8', writeUint8],
  ['short', writeInt16],
  ['int16', writeInt16],
  ['unsignedshort', writeUint16],
  ['uint16', writeUint16],
  ['int', writeInt32],
  ['int32', writeInt32],
  ['unsignedint', writeUint32],
  ['uint32', writeUint32],
  ['long', writeInt64],
  ['int64', writeInt64],
]);

/**
 * The smallest type that holds the number. From 2^50 on, an integer is likelier than a fraction; from 2^63 on, only one type
 * is left.
 */
function numberType(value: number): string {
  if (value >= 2 ** 63 || (Math.abs(value) < 2 ** 50 && !Number.isInteger(value))) return 'double';
  if (value >= -0x80 && value < 0x80) return 'byte';
  if (value >= -0x8000 && value < 0x8000) return 'short';
  return value >= -0x8000_0000 && value < 0x8000_0000 ? 'int' : 'long';
}

function isTyped(value: unknown): value is Typed {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, '!');
}

/** Writes the letter of a type, and checks that its value fits, too. */
function tag(letter: string, at: number, valueBytes: number): number {
  reserve(at, 1 + valueBytes);
  scratch[at] = letter.charCodeAt(0);
  return at + 1;
}

/** The position after this many bytes. */
function reserve(at: number, sizeBytes: number): number {
  if (at + sizeBytes > MAX_TABLE_BYTES) {
    throw new RangeError(`the table takes more than ${MAX_TABLE_BYTES} bytes`);
  }
  return at + sizeBytes;
}

/** The current position in a table. */
interface Cursor {
  readonly from: Buffer;
  at: number;
}

/**
 * Decodes the table between `start` and `end`, without its length, to the values that amqplib decodes.
 *
 * @throws TypeError, RangeError for bytes that are not a table, and for tables nested deeper than 100
 */
export function decodeTable(from: Buffer, start: number, end: number): Record<string, unknown> {
  return readTable({ from, at: start }, end, 0);
}

function readTable(cursor: Cursor, end: number, depth: number): Record<string, unknown> {
  if (depth > MAX_DEPTH) throw new RangeError(`a table is nested deeper than ${MAX_DEPTH}`);
  const table: Record<string, unknown> = {};
  const { from } = cursor;
  while (cursor.at < end) {
    const lengthBytes = from[cursor.at++] as number;
    // Including the letter of the type.
    checkRoom(cursor.at, lengthBytes + 1, end);
    const name = from.toString('utf8', cursor.at, cursor.at + lengthBytes);
    cursor.at += lengthBytes;
    const value = readValue(cursor, end, depth);
    if (name !== '__proto__') table[name] = value;
    // An assignment would change the prototype.
    else Object.defineProperty(table, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return table;
}

function readArray(cursor: Cursor, end: number, depth: number): unknown[] {
  if (depth > MAX_DEPTH) throw new RangeError(`an array is nested deeper than ${MAX_DEPTH}`);
  const values: unknown[] = [];
  while (cursor.at < end) values.push(readValue(cursor, end, depth));
  return values;
}

function readValue(cursor: Cursor, end: number, depth: number): unknown {
  const { from } = cursor;
  const letter = String.fromCharCode(from[cursor.at++] as number);
  switch (letter) {
    case 'S': {
      const at = takeCounted(cursor, end);
      return from.toString('utf8', at, cursor.at);
    }
    case 'x': {
      const at = takeCounted(cursor, end);
      return from.subarray(at, cursor.at);
    }
    case 'F': {
      const length = readLength(cursor, end);
      return readTable(cursor, cursor.at + length, depth + 1);
    }
    case 'A': {
      const length = readLength(cursor, end);
      return readArray(cursor, cursor.at + length, depth + 1);
    }
    case 'V':
      return null;
    case 'D': {
      const at = take(cursor, 5, end);
      return { '!': 'decimal', value: { places: from[at], digits: from.readUInt32BE(at + 1) } };
    }
    case 'T':
      return { '!': 'timestamp', value: Number(from.readBigUInt64BE(take(cursor, 8, end))) };
    case 't':
      return from[take(cursor, 1, end)] !== 0;
    case 'b':
      return from.readInt8(take(cursor, 1, end));
    case 'B':
      return from[take(cursor, 1, end)];
    case 's':
      return from.readInt16BE(take(cursor, 2, end));
    case 'u':
      return from.readUInt16BE(take(cursor, 2, end));
    case 'I':
      return from.readInt32BE(take(cursor, 4, end));
    case 'i':
      return from.readUInt32BE(take(cursor, 4, end));
    case 'l':
      return Number(from.readBigInt64BE(take(cursor, 8, end)));
    case 'f':
      return from.readFloatBE(take(cursor, 4, end));
    case 'd':
      return from.readDoubleBE(take(cursor, 8, end));
    default:
      throw new TypeError(`a header has a value of the unknown type '${letter}'`);
  }
}

/** Reads a length. As many bytes must follow within the table. */
function readLength(cursor: Cursor, end: number): number {
  const length = cursor.from.readUInt32BE(take(cursor, 4, end));
  checkRoom(cursor.at, length, end);
  return length;
}

/** Skips a length and as many bytes, and returns where the bytes begin. */
function takeCounted(cursor: Cursor, end: number): number {
  return take(cursor, readLength(cursor, end), end);
}

/** Skips this many bytes, and returns where they begin. */
function take(cursor: Cursor, sizeBytes: number, end: number): number {
  const { at } = cursor;
  checkRoom(at, sizeBytes, end);
  cursor.at += sizeBytes;
  return at;
}
