/**
 * The few methods of a connection's first steps, as AMQP 0-9-1 writes them
 * (https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, 4.2 and "connection").
 */

export const PROTOCOL_HEADER = Buffer.from('AMQP\u0000\u0000\u0009\u0001', 'latin1');

/** The class `connection` and its methods, as one number. */
export const METHOD = {
  start: 0x0a_000a,
  startOk: 0x0a_000b,
  tune: 0x0a_001e,
  tuneOk: 0x0a_001f,
  open: 0x0a_0028,
  openOk: 0x0a_0029,
  close: 0x0a_0032,
  closeOk: 0x0a_0033,
} as const;

export interface Method {
  readonly id: number;
  readonly fields: Buffer;
}

const METHOD_FRAME = 1;
const FRAME_END = 0xce;
const FRAME_OVERHEAD = 8;

/** More than any frame of a handshake has. */
const MAX_FRAME_BYTES = 128 * 1024;

/** A frame on channel 0. */
export function frame(id: number, ...fields: readonly Buffer[]): Buffer {
  const payload = Buffer.concat([
    Buffer.from([id >>> 24, (id >>> 16) & 0xff, (id >>> 8) & 0xff, id & 0xff]),
    ...fields,
  ]);
  const head = Buffer.alloc(7);
  head.writeUInt8(METHOD_FRAME, 0);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.from([FRAME_END])]);
}

/** Takes the first whole frame off the bytes; undefined when it is incomplete. Throws if the peer speaks another protocol. */
export function takeFrame(
  bytes: Buffer,
): { readonly method: Method | undefined; readonly rest: Buffer } | undefined {
  if (bytes.length < 7) return undefined;
  const size = bytes.readUInt32BE(3);
  const type = bytes.readUInt8(0);
  if (type < 1 || type > 8 || size > MAX_FRAME_BYTES) throw new Error('the server does not speak AMQP 0-9-1');
  if (bytes.length < size + FRAME_OVERHEAD) return undefined;
  const payload = bytes.subarray(7, 7 + size);
  const isMethod = type === METHOD_FRAME && size >= 4;
  return {
    method: isMethod ? { id: payload.readUInt32BE(0), fields: payload.subarray(4) } : undefined,
    rest: bytes.subarray(size + FRAME_OVERHEAD),
  };
}

export function shortString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

export function longString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A table of texts, booleans, and tables of these. */
export function tableOf(values: Readonly<Record<string, string | boolean | object>>): Buffer {
  const entries = Object.entries(values).flatMap(([name, value]) => {
    if (typeof value === 'string') return [shortString(name), Buffer.from('S'), longString(value)];
    if (typeof value === 'boolean')
      return [shortString(name), Buffer.from('t'), Buffer.from([Number(value)])];
    return [shortString(name), Buffer.from('F'), tableOf(value as Record<string, string | boolean>)];
  });
  const content = Buffer.concat(entries);
  return Buffer.concat([uint32(content.length), content]);
}

/** The texts of a table. Everything after a value that is not a text, a boolean or a table is left out. */
export function textsOf(table: Buffer): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  const end = Math.min(table.length, 4 + table.readUInt32BE(0));
  let at = 4;
  while (at < end) {
    const nameEnd = at + 1 + table.readUInt8(at);
    const name = table.toString('utf8', at + 1, nameEnd);
    const type = String.fromCharCode(table.readUInt8(nameEnd));
    at = nameEnd + 1;
    if (type === 't') {
      at += 1;
      continue;
    }
    if (type !== 'S' && type !== 'F') break;
    const length = table.readUInt32BE(at);
    if (type === 'S') texts.set(name, table.toString('utf8', at + 4, at + 4 + length));
    at += 4 + length;
  }
  return texts;
}
