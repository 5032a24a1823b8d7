import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Delivery } from '../../../../../src/transport/port.js';
import { FrameReader } from '../../../../../src/transport/rabbitmq/frames/frame-reader.js';
import {
  bodyFrames,
  defs,
  frames,
  headers,
  outcome,
  plain,
  properties,
} from '../../../support/amqplib-codec.js';

const frameMax = 4_096;

/** The channel whose deliveries are ours, the one whose confirms are, and one of amqplib's. */
const [CONSUMING, CONFIRMING, FOREIGN] = [1, 2, 3];

/** What has come over the connection, in order. */
type Event =
  | { readonly tag: string; readonly delivery: unknown }
  | { readonly confirm: readonly unknown[] }
  | { readonly frame: string };

/** A reader that is fed chunk by chunk, as `recvFrame` of amqplib would ask it. */
class Bench {
  readonly events: Event[] = [];
  readonly deliveries: Delivery[] = [];
  readonly reader: FrameReader;
  #chunk: Buffer | null = null;

  constructor(already: Buffer = Buffer.alloc(0)) {
    const read = () => {
      const chunk = this.#chunk;
      this.#chunk = null;
      return chunk;
    };
    this.reader = new FrameReader({ frameMax, read }, already);
    this.reader.attach(CONSUMING, { onDelivery: (tag, delivery) => this.#delivered(tag, delivery) });
    this.reader.attach(CONFIRMING, {
      onDelivery: (tag, delivery) => this.#delivered(tag, delivery),
      onConfirm: (...confirm) => this.events.push({ confirm }),
    });
  }

  feed(...chunks: (Buffer | null)[]): this {
    for (const chunk of chunks) {
      this.#chunk = chunk;
      for (let frame = this.reader.next(); frame; frame = this.reader.next()) {
        this.events.push({ frame: frame.toString('hex') });
      }
    }
    return this;
  }

  #delivered(tag: string, delivery: Delivery): void {
    this.deliveries.push(delivery);
    this.events.push({ tag, delivery: plain({ ...delivery, content: delivery.content.toString('hex') }) });
  }
}

interface Part {
  readonly bytes: Buffer;
  readonly events: readonly Event[];
}

/** One delivery as the server sends it, and what amqplib makes of it. */
function delivered(channel: number, fields: DeliverFields, props: object, content: Buffer): Part {
  const method = defs.encodeMethod(defs.BasicDeliver, channel, fields);
  const header = defs.encodeProperties(defs.BasicProperties, channel, content.length, props);
  const decoded = frames.decodeFrame(frames.parseFrame(header, 0) as object);
  const { clusterId: _, ...theirs } = decoded.fields as Record<string, unknown>;
  const { consumerTag, ...rest } = fields;
  const delivery = plain({ ...rest, properties: theirs, content: content.toString('hex') });
  const bytes = Buffer.concat([method, header, ...bodyFrames(channel, content, frameMax)]);
  return { bytes, events: [{ tag: consumerTag, delivery }] };
}

interface DeliverFields {
  readonly consumerTag: string;
  readonly deliveryTag: number;
  readonly redelivered: boolean;
  readonly exchange: string;
  readonly routingKey: string;
}

function others(...parts: Buffer[]): Part {
  return { bytes: Buffer.concat(parts), events: parts.map((part) => ({ frame: part.toString('hex') })) };
}

const name = fc.oneof(
  fc.constantFrom('', 'orders', 'é', 'leveret-1'),
  fc.string({ unit: 'binary', maxLength: 40 }),
);

const fields: fc.Arbitrary<DeliverFields> = fc.record({
  consumerTag: name,
  deliveryTag: fc.maxSafeNat(),
  redelivered: fc.boolean(),
  exchange: name,
  routingKey: name,
});

const content = fc
  .oneof({ weight: 3, arbitrary: fc.nat(60) }, fc.constantFrom(0, 4_088, 4_089, 9_000))
  .map((length) => Buffer.alloc(length, 'body'));

const delivery = fc
  .tuple(fc.constantFrom(CONSUMING, CONFIRMING), fields, properties, content)
  .map(([channel, its, props, body]) => outcome(() => delivered(channel, its, props, body)))
  .filter((part): part is Part => part !== 'it throws');

const confirm = fc
  .tuple(fc.boolean(), fc.maxSafeNat(), fc.boolean())
  .map(([accepted, deliveryTag, multiple]): Part => {
    const bytes = accepted
      ? defs.encodeMethod(defs.BasicAck, CONFIRMING, { deliveryTag, multiple })
      : defs.encodeMethod(defs.BasicNack, CONFIRMING, { deliveryTag, multiple, requeue: false });
    return { bytes, events: [{ confirm: [deliveryTag, multiple, accepted] }] };
  });

const returned = fc.tuple(headers, content).map(([table, body]) => {
  const method = defs.encodeMethod(defs.BasicReturn, CONFIRMING, {
    replyCode: 312,
    replyText: 'NO_ROUTE',
    exchange: '',
    routingKey: 'q',
  });
  const header = outcome(() =>
    defs.encodeProperties(defs.BasicProperties, CONFIRMING, body.length, { headers: table }),
  );
  if (header === 'it throws') return others(method);
  return others(method, header, ...bodyFrames(CONFIRMING, body, frameMax));
});

const foreign = fc.constantFrom(
  others(frames.HEARTBEAT_BUF),
  others(defs.encodeMethod(defs.BasicAck, FOREIGN, { deliveryTag: 7, multiple: true })),
  others(
    defs.encodeMethod(defs.BasicDeliver, FOREIGN, {
      consumerTag: 'c',
      deliveryTag: 1,
      exchange: '',
      routingKey: 'q',
    }),
    defs.encodeProperties(defs.BasicProperties, FOREIGN, 2, {}),
    frames.makeBodyFrame(FOREIGN, Buffer.from('{}')),
  ),
  others(defs.encodeMethod(defs.BasicAck, CONSUMING, { deliveryTag: 1, multiple: false })),
);

const part = fc.oneof(
  { weight: 4, arbitrary: delivery },
  { weight: 2, arbitrary: confirm },
  returned,
  foreign,
);

const isWithinFrames = ({ bytes }: Part) => {
  for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at + 3) + 8) {
    if (bytes.readUInt32BE(at + 3) + 8 > frameMax) return false;
  }
  return true;
};

const parts = fc.array(part.filter(isWithinFrames), { maxLength: 12 });

const one = delivered(
  CONSUMING,
  { consumerTag: 'leveret-1', deliveryTag: 1, redelivered: false, exchange: 'events', routingKey: 'a.b' },
  {
    contentType: 'application/json',
    headers: { list: [1, 'two', { three: 3.5 }] },
    messageId: 'id',
    timestamp: 1_700_000_000,
  },
  Buffer.from('{"text":"é"}'),
);

describe('the frame reader', () => {
  it('makes of frames what amqplib makes of them, in their order, and hands on those that are not for it', () => {
    fc.assert(
      fc.property(parts, fc.infiniteStream(fc.integer({ min: 1, max: 6_000 })), (all, sizes) => {
        const bytes = Buffer.concat(all.map((it) => it.bytes));
        const bench = new Bench();
        for (let at = 0; at < bytes.length; ) {
          const size = sizes.next().value;
          bench.feed(bytes.subarray(at, at + size), null);
          at += size;
        }
        expect(bench.events).toEqual(all.flatMap((it) => it.events));
      }),
      { numRuns: 300 },
    );
  });

  it('takes a message that is split at any byte', () => {
    const next = others(frames.HEARTBEAT_BUF);
    const bytes = Buffer.concat([one.bytes, next.bytes, one.bytes]);
    const expected = [...one.events, ...next.events, ...one.events];
    for (let at = 1; at < bytes.length; at++) {
      expect(new Bench().feed(bytes.subarray(0, at), null, bytes.subarray(at)).events).toEqual(expected);
    }
    const byByte = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
    expect(new Bench().feed(...byByte).events).toEqual(expected);
  });

  it('begins with what amqplib had read already', () => {
    const bench = new Bench(one.bytes.subarray(0, 20)).feed(one.bytes.subarray(20));
    expect(bench.events).toEqual(one.events);
  });

  it('leaves a channel to amqplib that is released, in the middle of a message too', () => {
    const bench = new Bench();
    bench.feed(one.bytes.subarray(0, one.bytes.length - 1));
    bench.reader.detach(CONSUMING);
    bench.feed(one.bytes.subarray(one.bytes.length - 1), one.bytes);
    const lengths = bench.events.map((event) => ('frame' in event ? event.frame.slice(0, 2) : event));
    expect(lengths).toEqual(['03', '01', '02', '03']);
  });

  it('hands over a message with a problem when its properties are none, and goes on', () => {
    const [method] = [
      defs.encodeMethod(defs.BasicDeliver, CONSUMING, {
        ...one,
        consumerTag: 'c',
        deliveryTag: 9,
        exchange: '',
        routingKey: 'q',
      }),
    ];
    const header = defs.encodeProperties(defs.BasicProperties, CONSUMING, 2, { headers: { key: 'value' } });
    // The type of the header's value.
    header[header.indexOf('key') + 3] = 'z'.charCodeAt(0);
    const bench = new Bench().feed(
      method,
      header,
      frames.makeBodyFrame(CONSUMING, Buffer.from('{}')),
      one.bytes,
    );
    expect(bench.deliveries).toMatchObject([
      {
        deliveryTag: 9,
        properties: {},
        problem: "its properties cannot be read: a header has a value of the unknown type 'z'",
      },
      { deliveryTag: 1, problem: undefined },
    ]);
  });

  it.each<[string, Buffer, string]>([
    [
      'a frame without its end',
      Buffer.from([1, 0, 1, 0, 0, 0, 1, 0, 0]),
      'a frame does not end where it should',
    ],
    [
      'a frame that is too long',
      Buffer.from([3, 0, 1, 0, 0, 0x20, 0]),
      'a frame of 8200 bytes came, 4096 are allowed',
    ],
    [
      'a frame without an end in sight',
      Buffer.from([3, 0, 1, 255, 255, 255, 255]),
      'a frame of 4294967303 bytes came, 4096 are allowed',
    ],
    ['a method without a name', Buffer.from([1, 0, 1, 0, 0, 0, 1, 0, 0xce]), '3 bytes are missing'],
    [
      'a delivery that is cut short',
      Buffer.from([1, 0, 1, 0, 0, 0, 5, 0, 60, 0, 60, 200, 0xce]),
      '200 bytes are missing',
    ],
  ])('throws over %s', (_, bytes, message) => {
    expect(() => new Bench().feed(bytes)).toThrow(message);
  });

  it('throws over a body that is longer than announced, and over one that is announced beyond all bounds', () => {
    const method = defs.encodeMethod(defs.BasicDeliver, CONSUMING, {
      consumerTag: 'c',
      deliveryTag: 1,
      exchange: '',
      routingKey: 'q',
    });
    const header = (bytes: number) => defs.encodeProperties(defs.BasicProperties, CONSUMING, bytes, {});
    const body = frames.makeBodyFrame(CONSUMING, Buffer.from('four'));
    expect(() => new Bench().feed(method, header(3), body)).toThrow(
      'a delivery has 1 bytes more than it announced',
    );
    expect(() => new Bench().feed(method, header(2 ** 40))).toThrow(
      'a delivery announces 1099511627776 bytes',
    );
    expect(() => new Bench().feed(method, method)).toThrow('a delivery came within another one');
    expect(() => new Bench().feed(method, body)).toThrow('a delivery has no header before its body');
    expect(() => new Bench().feed(method, header(8), header(8))).toThrow('a delivery has two headers');
  });

  it('survives any bytes: each stream of frames is read to its end, or ends in an error', () => {
    const bytes = Buffer.concat([one.bytes, frames.HEARTBEAT_BUF, one.bytes]);
    const edit = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.nat(bytes.length), (edits, cut) => {
        const hostile = Buffer.from(bytes);
        for (const [at, value] of edits) hostile[at] = value;
        const bench = new Bench();
        const result = outcome(() => bench.feed(hostile.subarray(0, cut), hostile.subarray(cut)));
        expect(result === 'it throws' || bench.events.length <= 7).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });
});
