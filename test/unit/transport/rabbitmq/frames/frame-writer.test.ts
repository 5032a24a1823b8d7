import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameWriter } from '../../../../../src/transport/rabbitmq/frames/frame-writer.js';
import { defs, outcome, outgoing, published } from '../../../support/amqplib-codec.js';

const frameMax = 4_096;

/** What a writer hands over. */
function written(write: (writer: FrameWriter) => void, max = frameMax): Buffer {
  const chunks: Buffer[] = [];
  const writer = new FrameWriter(max, (bytes) => chunks.push(bytes));
  write(writer);
  writer.flush();
  return Buffer.concat(chunks);
}

/** Without a look at each of many thousand bytes, which `toEqual` would take. */
const isSame = (ours: Buffer | string, theirs: Buffer | string) =>
  typeof ours === 'string' || typeof theirs === 'string' ? ours === theirs : ours.equals(theirs);

const tag = fc.oneof(fc.nat(), fc.maxSafeNat());

describe('the frame writer', () => {
  it('publishes in the bytes of amqplib, or refuses what that refuses', () => {
    let refused = 0;
    fc.assert(
      fc.property(outgoing, fc.integer({ min: 1, max: 65_535 }), (message, channel) => {
        const theirs = outcome(() => published(channel, message, frameMax));
        const ours = outcome(() => written((writer) => writer.publish(channel, message)));
        if (theirs === 'it throws') refused++;
        const isTooLong =
          theirs !== 'it throws' &&
          theirs.readUInt32BE(theirs.indexOf(0xce, 7 + theirs.readUInt32BE(3)) + 4) > frameMax - 8;
        expect(isSame(ours, isTooLong ? 'it throws' : theirs)).toBe(true);
      }),
      { numRuns: 3_000 },
    );
    expect(refused).toBeGreaterThan(100);
    expect(refused).toBeLessThan(4_500);
  });

  it('settles in the bytes of amqplib', () => {
    fc.assert(
      fc.property(
        tag,
        fc.integer({ min: 1, max: 65_535 }),
        fc.boolean(),
        fc.boolean(),
        (deliveryTag, channel, multiple, requeue) => {
          const ours = written((writer) => {
            writer.ack(channel, deliveryTag, multiple);
            writer.nack(channel, deliveryTag, multiple, requeue);
            writer.reject(channel, deliveryTag, requeue);
          });
          const theirs = [
            defs.encodeMethod(defs.BasicAck, channel, { deliveryTag, multiple }),
            defs.encodeMethod(defs.BasicNack, channel, { deliveryTag, multiple, requeue }),
            defs.encodeMethod(defs.BasicReject, channel, { deliveryTag, requeue }),
          ];
          expect(ours).toEqual(Buffer.concat(theirs));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('keeps the order over many slabs, and writes no byte again that was handed over', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(outgoing, fc.boolean()), { minLength: 50, maxLength: 150 }),
        (messages) => {
          const chunks: { bytes: Buffer; copy: Buffer }[] = [];
          const writer = new FrameWriter(frameMax, (bytes) =>
            chunks.push({ bytes, copy: Buffer.from(bytes) }),
          );
          const theirs: Buffer[] = [];
          for (const [message, flushes] of messages) {
            const bytes = outcome(() => published(1, message, frameMax));
            if (bytes === 'it throws' || outcome(() => writer.publish(1, message)) === 'it throws') continue;
            theirs.push(bytes);
            if (flushes) writer.flush();
          }
          writer.flush();
          expect(isSame(Buffer.concat(chunks.map(({ copy }) => copy)), Buffer.concat(theirs))).toBe(true);
          for (const { bytes, copy } of chunks) expect(bytes.equals(copy)).toBe(true);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('hands over one turn of small messages in one piece', () => {
    const chunks: Buffer[] = [];
    const writer = new FrameWriter(131_072, (bytes) => chunks.push(bytes));
    const message = {
      exchange: '',
      routingKey: 'q',
      mandatory: true,
      properties: {},
      content: Buffer.from('{}'),
    };
    for (let at = 0; at < 100; at++) writer.publish(1, message);
    writer.flush();
    writer.flush();
    expect(chunks).toHaveLength(1);
    expect(writer.isEmpty).toBe(true);
  });

  it('names the field that is too long', () => {
    const message = {
      exchange: '',
      routingKey: 'q',
      mandatory: true,
      properties: { messageId: 'ü'.repeat(128) },
      content: Buffer.alloc(0),
    };
    expect(() => written((writer) => writer.publish(1, message))).toThrow(
      "the field 'messageId' must be text of at most 255 bytes, got 256 bytes",
    );
  });

  it('refuses headers that do not fit one frame, which would cost the connection', () => {
    const message = {
      exchange: '',
      routingKey: 'q',
      mandatory: true,
      properties: { headers: { note: 'x'.repeat(5_000) } },
      content: Buffer.alloc(0),
    };
    expect(() => written((writer) => writer.publish(1, message))).toThrow(
      'the properties do not fit one frame of 4096 bytes',
    );
    expect(written((writer) => outcome(() => writer.publish(1, message)))).toHaveLength(0);
  });
});
