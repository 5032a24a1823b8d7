import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import type { MessageProperties, OutgoingMessage } from '../../../src/transport/port.js';

/** The parts of amqplib that write and read frames. It exports no way to them. */
interface Defs {
  readonly BasicPublish: number;
  readonly BasicDeliver: number;
  readonly BasicAck: number;
  readonly BasicNack: number;
  readonly BasicReject: number;
  readonly BasicReturn: number;
  readonly BasicProperties: number;
  encodeMethod(method: number, channel: number, fields: object): Buffer;
  encodeProperties(properties: number, channel: number, bodyBytes: number, fields: object): Buffer;
}

interface Frames {
  makeBodyFrame(channel: number, payload: Buffer): Buffer;
  parseFrame(bytes: Buffer, max: number): false | { readonly rest: Buffer };
  decodeFrame(frame: object): AmqplibFrame;
  readonly HEARTBEAT_BUF: Buffer;
}

export interface AmqplibFrame {
  readonly id?: number;
  readonly channel: number;
  readonly size?: number;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly content?: Buffer;
}

const require = createRequire(import.meta.url);
const load = (name: string) => require(join(dirname(require.resolve('amqplib')), 'lib', `${name}.js`));

export const defs = load('defs') as Defs;
export const frames = load('frame') as Frames;
export const { encodeTable, decodeFields } = load('codec') as {
  encodeTable(buffer: Buffer, table: object, offset: number): number;
  decodeFields(bytes: Buffer): Record<string, unknown>;
};
export const args = load('api_args') as {
  publish(exchange: string, routingKey: string, options: object): object;
};

/** The frames in which amqplib sends a body. */
export function bodyFrames(channel: number, content: Buffer, frameMax: number): Buffer[] {
  const pieceBytes = frameMax - 8;
  return Array.from({ length: Math.ceil(content.length / pieceBytes) }, (_, at) =>
    frames.makeBodyFrame(channel, content.subarray(at * pieceBytes, (at + 1) * pieceBytes)),
  );
}

/** The frames in which amqplib publishes a message. */
export function published(channel: number, message: OutgoingMessage, frameMax: number): Buffer {
  const { exchange, routingKey, properties, mandatory, content } = message;
  const fields = args.publish(exchange, routingKey, { ...properties, mandatory });
  return Buffer.concat([
    defs.encodeMethod(defs.BasicPublish, channel, fields),
    defs.encodeProperties(defs.BasicProperties, channel, content.length, fields),
    ...bodyFrames(channel, content, frameMax),
  ]);
}

const shortText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ minLength: 250, maxLength: 260 }),
  fc.string({ unit: fc.constantFrom('a', 'ü', '€', '😀', '\ud800'), maxLength: 200 }),
  fc.constantFrom('', 'application/json', '__proto__'),
);

const number = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(-0, 127, 128, -128, -129, 32_767, 32_768, -32_769, 2 ** 31, -(2 ** 31) - 1),
  fc
    .integer({ min: 40, max: 70 })
    .chain((power) => fc.constantFrom(2 ** power, -(2 ** power), 2 ** power + 0.5)),
);

/** A value that names its type, right or wrong. */
const typed = fc.record({
  '!': fc.constantFrom(
    ...['byte', 'int8', 'uint8', 'unsignedbyte', 'short', 'int16', 'uint16', 'unsignedshort', 'int', 'int32'],
    ...[
      'uint32',
      'unsignedint',
      'long',
      'int64',
      'float',
      'double',
      'float64',
      'timestamp',
      'number',
      'nonsense',
    ],
  ),
  value: fc.oneof(fc.integer({ min: -130, max: 300 }), number),
});

const decimal = fc.record({
  '!': fc.constant('decimal'),
  value: fc.record({ places: fc.integer({ min: -1, max: 260 }), digits: fc.nat() }),
});

export const { table: headers } = fc.letrec<{ value: unknown; table: Record<string, unknown> }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.string({ unit: 'binary' }),
    number,
    fc.constantFrom<unknown>(true, false, null, undefined),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    typed,
    decimal,
    fc.array(
      tie('value').filter((it) => it !== undefined),
      { maxLength: 3 },
    ),
    tie('table'),
  ),
  table: fc.dictionary(fc.oneof(shortText, fc.string({ maxLength: 10 })), tie('value'), { maxKeys: 4 }),
}));

const octet = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(-1, 256, 1.5, Number.NaN));

const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

export const properties: fc.Arbitrary<MessageProperties> = fc.record({
  contentType: optional(shortText),
  contentEncoding: optional(shortText),
  headers: optional(headers),
  deliveryMode: optional(fc.oneof({ weight: 9, arbitrary: fc.constantFrom(1, 2) }, octet)),
  priority: optional(fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: 255 }) }, octet)),
  correlationId: optional(shortText),
  replyTo: optional(shortText),
  expiration: optional(shortText),
  messageId: optional(shortText),
  timestamp: optional(fc.oneof(fc.nat(), fc.maxSafeInteger(), fc.constantFrom(2 ** 63, 2 ** 64, -1, 0.5))),
  type: optional(shortText),
  userId: optional(shortText),
  appId: optional(shortText),
});

const content = fc
  .oneof(fc.constantFrom(0, 1, 4_087, 4_088, 4_089, 8_176, 8_192, 8_193, 70_000), fc.nat(300))
  .map((length) => Buffer.alloc(length, 'content'));

export const outgoing: fc.Arbitrary<OutgoingMessage> = fc.record({
  exchange: shortText,
  routingKey: shortText,
  mandatory: fc.boolean(),
  properties,
  content,
});

/** What a function returns, or that it throws. */
export function outcome<T>(make: () => T): T | 'it throws' {
  try {
    return make();
  } catch {
    return 'it throws';
  }
}

/** Values as they compare: what is undefined is not sent, bytes are bytes, and no prototype counts. */
export function plain(value: unknown): unknown {
  // Not by its prototype, which amqplib lets a header choose.
  if (ArrayBuffer.isView(value)) return ['bytes', ...(value as Uint8Array)];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .filter(([name, it]) => it !== undefined && name !== '__proto__')
    .map(([name, it]) => [name, plain(it)])
    .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1));
}
