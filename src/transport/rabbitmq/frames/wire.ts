/** The bytes of AMQP 0-9-1 (https://www.rabbitmq.com/amqp-0-9-1-reference) that every frame is made of. */

export const METHOD_FRAME = 1;
export const HEADER_FRAME = 2;
export const BODY_FRAME = 3;
export const FRAME_END = 0xce;

/** The type, channel and size of a frame precede its payload. */
export const FRAME_HEAD_BYTES = 7;

/** The size of a frame without its payload: its head and the octet at its end. */
export const FRAME_OVERHEAD_BYTES = 8;

/** The class `basic`, and its methods as one number each: class and method. */
export const BASIC = 60;
export const BASIC_PUBLISH = 0x003c_0028;
export const BASIC_DELIVER = 0x003c_003c;
export const BASIC_ACK = 0x003c_0050;
export const BASIC_REJECT = 0x003c_005a;
export const BASIC_NACK = 0x003c_0078;

const MAX_SHORT_BYTES = 255;
const TWO_TO_32 = 2 ** 32;

export function writeUint16(to: Buffer, at: number, value: number): number {
  to[at] = value >>> 8;
  to[at + 1] = value;
  return at + 2;
}

export function writeUint32(to: Buffer, at: number, value: number): number {
  to[at] = value >>> 24;
  to[at + 1] = value >>> 16;
  to[at + 2] = value >>> 8;
  to[at + 3] = value;
  return at + 4;
}

/** Writes an integer from 0 to 2^64 - 1. */
export function writeUint64(to: Buffer, at: number, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value >= TWO_TO_32 * TWO_TO_32) {
    throw new RangeError(`expected a whole number of 64 bits, got ${value}`);
  }
  const high = Math.floor(value / TWO_TO_32);
  return writeUint32(to, writeUint32(to, at, high), value - high * TWO_TO_32);
}

/** Writes a text of at most 255 bytes after its length. There must be room for 256 bytes. */
export function writeShortString(to: Buffer, at: number, text: string, field: string): number {
  if (typeof text !== 'string' || text.length > MAX_SHORT_BYTES) throw tooLong(field, text);
  const start = at + 1;
  // Most texts are short and ASCII: a loop is quicker for these than a native call.
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) return writeShortUtf8(to, at, text, field);
    to[start + index] = code;
  }
  to[at] = text.length;
  return start + text.length;
}

function writeShortUtf8(to: Buffer, at: number, text: string, field: string): number {
  const lengthBytes = Buffer.byteLength(text);
  if (lengthBytes > MAX_SHORT_BYTES) throw tooLong(field, text);
  to[at] = lengthBytes;
  to.write(text, at + 1);
  return at + 1 + lengthBytes;
}

function tooLong(field: string, value: unknown): TypeError {
  const got = typeof value === 'string' ? `${Buffer.byteLength(value)} bytes` : typeof value;
  return new TypeError(`the field '${field}' must be text of at most ${MAX_SHORT_BYTES} bytes, got ${got}`);
}

export function readUint16(from: Buffer, at: number): number {
  return ((from[at] as number) << 8) | (from[at + 1] as number);
}

export function readUint32(from: Buffer, at: number): number {
  return (
    (from[at] as number) * 0x100_0000 +
    (((from[at + 1] as number) << 16) | ((from[at + 2] as number) << 8) | (from[at + 3] as number))
  );
}

/** The nearest number that JavaScript can represent. */
export function readUint64(from: Buffer, at: number): number {
  return readUint32(from, at) * TWO_TO_32 + readUint32(from, at + 4);
}

/** Throws unless `sizeBytes` more bytes exist before `end`. */
export function checkRoom(at: number, sizeBytes: number, end: number): void {
  if (at + sizeBytes > end) throw new RangeError(`${at + sizeBytes - end} bytes are missing`);
}

/** The end of a short string whose length is at `at`. Throws unless the string ends before `end`. */
export function textEnd(from: Buffer, at: number, end: number): number {
  checkRoom(at, 1, end);
  const lengthBytes = from[at] as number;
  checkRoom(at + 1, lengthBytes, end);
  return at + 1 + lengthBytes;
}

/** The text between `start` and `end`. It is mostly the same as the last one: after a comparison, no new string is needed. */
export function readAgain(from: Buffer, start: number, end: number, last: string): string {
  if (last.length !== end - start) return from.toString('utf8', start, end);
  for (let index = 0; index < last.length; index++) {
    const byte = from[start + index] as number;
    // Beyond ASCII, a character is not its byte.
    if (byte > 0x7f || byte !== last.charCodeAt(index)) return from.toString('utf8', start, end);
  }
  return last;
}
