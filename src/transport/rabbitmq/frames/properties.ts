import type { MessageProperties } from '../../port.js';
import { decodeTable, encodeTable } from './field-table.js';
import {
  checkRoom,
  readAgain,
  readUint16,
  readUint32,
  readUint64,
  textEnd,
  writeShortString,
  writeUint16,
  writeUint64,
} from './wire.js';

/** The properties of a message in a frame: two octets of flags, then the present properties, in this order. */
const CONTENT_TYPE = 0x8000;
const CONTENT_ENCODING = 0x4000;
const HEADERS = 0x2000;
const DELIVERY_MODE = 0x1000;
const PRIORITY = 0x0800;
const CORRELATION_ID = 0x0400;
const REPLY_TO = 0x0200;
const EXPIRATION = 0x0100;
const MESSAGE_ID = 0x0080;
const TIMESTAMP = 0x0040;
const TYPE = 0x0020;
const USER_ID = 0x0010;
const APP_ID = 0x0008;

/** The most bytes of the properties without the headers: nine texts of 256, and numbers. */
export const MAX_PROPERTIES_BYTES = 9 * 256 + 16;

const NO_HEADERS = Buffer.alloc(4);

/**
 * Encodes the headers for {@link writeProperties}, before the first byte is written, so that their size is known. Without
 * headers it is an empty table, as amqplib sends it: programs read `properties.headers` and expect an object.
 */
export function encodeHeaders({ headers }: MessageProperties): Buffer {
  return headers ? encodeTable(headers) : NO_HEADERS;
}

/**
 * Writes the properties, and returns where they end. There must be room for {@link MAX_PROPERTIES_BYTES} and the headers.
 *
 * @throws TypeError, RangeError for a value that the wire cannot carry
 */
export function writeProperties(to: Buffer, start: number, of: MessageProperties, headers: Buffer): number {
  let flags = HEADERS;
  let at = start + 2;
  if (of.contentType !== undefined) {
    flags |= CONTENT_TYPE;
    at = writeShortString(to, at, of.contentType, 'contentType');
  }
  if (of.contentEncoding !== undefined) {
    flags |= CONTENT_ENCODING;
    at = writeShortString(to, at, of.contentEncoding, 'contentEncoding');
  }
  to.set(headers, at);
  at += headers.length;
  if (of.deliveryMode !== undefined) {
    flags |= DELIVERY_MODE;
    at = writeOctet(to, at, of.deliveryMode, 'deliveryMode');
  }
  if (of.priority !== undefined) {
    flags |= PRIORITY;
    at = writeOctet(to, at, of.priority, 'priority');
  }
  if (of.correlationId !== undefined) {
    flags |= CORRELATION_ID;
    at = writeShortString(to, at, of.correlationId, 'correlationId');
  }
  if (of.replyTo !== undefined) {
    flags |= REPLY_TO;
    at = writeShortString(to, at, of.replyTo, 'replyTo');
  }
  if (of.expiration !== undefined) {
    flags |= EXPIRATION;
    at = writeShortString(to, at, of.expiration, 'expiration');
  }
  if (of.messageId !== undefined) {
    flags |= MESSAGE_ID;
    at = writeShortString(to, at, of.messageId, 'messageId');
  }
  if (of.timestamp !== undefined) {
    flags |= TIMESTAMP;
    at = writeUint64(to, at, of.timestamp);
  }
  if (of.type !== undefined) {
    flags |= TYPE;
    at = writeShortString(to, at, of.type, 'type');
  }
  if (of.userId !== undefined) {
    flags |= USER_ID;
    at = writeShortString(to, at, of.userId, 'userId');
  }
  if (of.appId !== undefined) {
    flags |= APP_ID;
    at = writeShortString(to, at, of.appId, 'appId');
  }
  writeUint16(to, start, flags);
  return at;
}

function writeOctet(to: Buffer, at: number, value: number, field: string): number {
  if (typeof value !== 'number' || Number.isNaN(value))
    throw new TypeError(`the field '${field}' must be a number`);
  return to.writeUInt8(value, at);
}

/** Received properties. One shape for all, because objects of many shapes are slow to read. */
type Received = { -readonly [K in keyof MessageProperties]-?: unknown };

/**
 * Reads the properties between `start` and `end`.
 *
 * @param lastContentType - the previous message's content type, which is mostly the same
 * @throws TypeError, RangeError for bytes that are not properties
 */
export function readProperties(
  from: Buffer,
  start: number,
  end: number,
  lastContentType = '',
): Readonly<Received> {
  checkRoom(start, 2, end);
  const flags = readUint16(from, start);
  const received: Received = {
    contentType: undefined,
    contentEncoding: undefined,
    headers: undefined,
    deliveryMode: undefined,
    priority: undefined,
    correlationId: undefined,
    replyTo: undefined,
    expiration: undefined,
    messageId: undefined,
    timestamp: undefined,
    type: undefined,
    userId: undefined,
    appId: undefined,
  };
  let at = start + 2;
  let next = at;
  if (flags & CONTENT_TYPE) {
    next = textEnd(from, at, end);
    received.contentType = readAgain(from, at + 1, next, lastContentType);
    at = next;
  }
  if (flags & CONTENT_ENCODING) {
    next = textEnd(from, at, end);
    received.contentEncoding = readText(from, at, next);
    at = next;
  }
  if (flags & HEADERS) {
    checkRoom(at, 4, end);
    next = at + 4 + readUint32(from, at);
    checkRoom(next, 0, end);
    received.headers = decodeTable(from, at + 4, next);
    at = next;
  }
  if (flags & DELIVERY_MODE) {
    checkRoom(at, 1, end);
    received.deliveryMode = from[at++];
  }
  if (flags & PRIORITY) {
    checkRoom(at, 1, end);
    received.priority = from[at++];
  }
  if (flags & CORRELATION_ID) {
    next = textEnd(from, at, end);
    received.correlationId = readText(from, at, next);
    at = next;
  }
  if (flags & REPLY_TO) {
    next = textEnd(from, at, end);
    received.replyTo = readText(from, at, next);
    at = next;
  }
  if (flags & EXPIRATION) {
    next = textEnd(from, at, end);
    received.expiration = readText(from, at, next);
    at = next;
  }
  if (flags & MESSAGE_ID) {
    next = textEnd(from, at, end);
    received.messageId = readText(from, at, next);
    at = next;
  }
  if (flags & TIMESTAMP) {
    checkRoom(at, 8, end);
    received.timestamp = readUint64(from, at);
    at += 8;
  }
  if (flags & TYPE) {
    next = textEnd(from, at, end);
    received.type = readText(from, at, next);
    at = next;
  }
  if (flags & USER_ID) {
    next = textEnd(from, at, end);
    received.userId = readText(from, at, next);
    at = next;
  }
  if (flags & APP_ID) received.appId = readText(from, at, textEnd(from, at, end));
  return received;
}

function readText(from: Buffer, at: number, end: number): string {
  return from.toString('utf8', at + 1, end);
}
