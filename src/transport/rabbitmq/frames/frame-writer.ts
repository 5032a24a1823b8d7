import type { OutgoingMessage } from '../../port.js';
import { encodeHeaders, MAX_PROPERTIES_BYTES, writeProperties } from './properties.js';
import {
  BASIC,
  BASIC_ACK,
  BASIC_NACK,
  BASIC_PUBLISH,
  BASIC_REJECT,
  BODY_FRAME,
  FRAME_END,
  FRAME_HEAD_BYTES,
  FRAME_OVERHEAD_BYTES,
  HEADER_FRAME,
  METHOD_FRAME,
  writeShortString,
  writeUint16,
  writeUint32,
  writeUint64,
} from './wire.js';

/** Receives the written bytes. */
export type Output = (bytes: Buffer) => void;

const SLAB_BYTES = 64 * 1024;

/** A longer piece of a body is passed on uncopied: above this size a copy costs more than a separate write. */
const MAX_COPIED_BYTES = 8 * 1024;

/** The longest `basic.publish`: its head, ticket, two names and bits; and the part of a header frame before its properties. */
const MAX_METHOD_BYTES = FRAME_OVERHEAD_BYTES + 4 + 2 + 2 * 256 + 1;
const HEADER_BYTES = FRAME_OVERHEAD_BYTES + 12;

const SETTLE_BYTES = FRAME_OVERHEAD_BYTES + 4 + 8 + 1;

const MULTIPLE = 1;

/** The last `basic.publish` frame: while a channel publishes to one place, all its frames are the same. */
interface PublishFrame {
  readonly channel: number;
  readonly exchange: string;
  readonly routingKey: string;
  readonly mandatory: boolean;
  readonly bytes: Buffer;
}

/** Gathers the frames of one connection in a slab, and passes them on with `flush`. */
export class FrameWriter {
  readonly #frameMax: number;
  readonly #output: Output;
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  /** Everything before this position was passed on and must not be overwritten. */
  #start = 0;
  #at = 0;
  #last: PublishFrame | undefined;

  /** @param frameMax - the most bytes of a frame, as negotiated */
  constructor(frameMax: number, output: Output) {
    this.#frameMax = frameMax;
    this.#output = output;
  }

  get isEmpty(): boolean {
    return this.#at === this.#start;
  }

  /** @throws TypeError, RangeError for a message that frames cannot carry. Nothing was written then. */
  publish(channel: number, message: OutgoingMessage): void {
    const { content, properties } = message;
    const headers = encodeHeaders(properties);
    const isCopied = content.length <= MAX_COPIED_BYTES && this.#fits(content.length);
    this.#makeRoom(
      MAX_METHOD_BYTES +
        HEADER_BYTES +
        MAX_PROPERTIES_BYTES +
        headers.length +
        (isCopied ? content.length + FRAME_OVERHEAD_BYTES : 0),
    );
    let at = this.#writePublish(channel, message);
    at = this.#writeHeader(at, channel, message, headers);
    if (isCopied) {
      this.#at = content.length === 0 ? at : this.#writeBody(at, channel, content);
      return;
    }
    this.#at = at;
    this.#sendBody(channel, content);
  }

  ack(channel: number, deliveryTag: number, multiple: boolean): void {
    this.#settle(channel, BASIC_ACK, deliveryTag, multiple ? MULTIPLE : 0);
  }

  nack(channel: number, deliveryTag: number, multiple: boolean, requeue: boolean): void {
    this.#settle(channel, BASIC_NACK, deliveryTag, (multiple ? MULTIPLE : 0) | (requeue ? 2 : 0));
  }

  reject(channel: number, deliveryTag: number, requeue: boolean): void {
    this.#settle(channel, BASIC_REJECT, deliveryTag, requeue ? 1 : 0);
  }

  /** Appends whole frames that were created elsewhere. */
  append(frames: Buffer): void {
    this.flush();
    this.#output(frames);
  }

  /** Passes on the gathered frames. */
  flush(): void {
    if (this.isEmpty) return;
    const bytes = this.#slab.subarray(this.#start, this.#at);
    this.#start = this.#at;
    this.#output(bytes);
  }

  #makeRoom(sizeBytes: number): void {
    if (this.#at + sizeBytes <= this.#slab.length) return;
    this.flush();
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, sizeBytes));
    this.#start = 0;
    this.#at = 0;
  }

  #fits(payloadBytes: number): boolean {
    return payloadBytes <= this.#frameMax - FRAME_OVERHEAD_BYTES;
  }

  #writePublish(channel: number, { exchange, routingKey, mandatory }: OutgoingMessage): number {
    let last = this.#last;
    if (
      last === undefined ||
      last.channel !== channel ||
      last.routingKey !== routingKey ||
      last.exchange !== exchange ||
      last.mandatory !== mandatory
    ) {
      last = {
        channel,
        exchange,
        routingKey,
        mandatory,
        bytes: publishFrame(channel, exchange, routingKey, mandatory),
      };
      this.#last = last;
    }
    this.#slab.set(last.bytes, this.#at);
    return this.#at + last.bytes.length;
  }

  #writeHeader(
    start: number,
    channel: number,
    { content, properties }: OutgoingMessage,
    headers: Buffer,
  ): number {
    const slab = this.#slab;
    let at = start + FRAME_HEAD_BYTES;
    // Its class, and a weight without a meaning.
    at = writeUint32(slab, at, BASIC << 16);
    at = writeUint64(slab, at, content.length);
    at = writeProperties(slab, at, properties, headers);
    if (!this.#fits(at - start - FRAME_HEAD_BYTES)) {
      throw new RangeError(`the properties do not fit one frame of ${this.#frameMax} bytes`);
    }
    return endFrame(slab, start, at, HEADER_FRAME, channel);
  }

  #writeBody(start: number, channel: number, content: Buffer): number {
    const at = start + FRAME_HEAD_BYTES;
    this.#slab.set(content, at);
    return endFrame(this.#slab, start, at + content.length, BODY_FRAME, channel);
  }

  /**
   * A long body: its frames around the uncopied bytes. All of it at once, because no other frame of this channel may come
   * between.
   */
  #sendBody(channel: number, content: Buffer): void {
    const pieceBytes = this.#frameMax - FRAME_OVERHEAD_BYTES;
    for (let from = 0; from < content.length; from += pieceBytes) {
      const piece = content.subarray(from, from + pieceBytes);
      this.#makeRoom(FRAME_OVERHEAD_BYTES);
      this.#at = frameHead(this.#slab, this.#at, BODY_FRAME, channel, piece.length);
      this.append(piece);
      this.#slab[this.#at++] = FRAME_END;
    }
  }

  #settle(channel: number, method: number, deliveryTag: number, bits: number): void {
    this.#makeRoom(SETTLE_BYTES);
    const slab = this.#slab;
    const start = this.#at;
    let at = writeUint32(slab, start + FRAME_HEAD_BYTES, method);
    at = writeUint64(slab, at, deliveryTag);
    slab[at] = bits;
    this.#at = endFrame(slab, start, at + 1, METHOD_FRAME, channel);
  }
}

function publishFrame(channel: number, exchange: string, routingKey: string, mandatory: boolean): Buffer {
  const frame = Buffer.alloc(MAX_METHOD_BYTES);
  let at = writeUint32(frame, FRAME_HEAD_BYTES, BASIC_PUBLISH);
  // The ticket, which has no meaning any more.
  at = writeUint16(frame, at, 0);
  at = writeShortString(frame, at, exchange, 'exchange');
  at = writeShortString(frame, at, routingKey, 'routingKey');
  frame[at] = mandatory ? 1 : 0;
  return frame.subarray(0, endFrame(frame, 0, at + 1, METHOD_FRAME, channel));
}

function frameHead(to: Buffer, at: number, type: number, channel: number, payloadBytes: number): number {
  to[at] = type;
  return writeUint32(to, writeUint16(to, at + 1, channel), payloadBytes);
}

/** Puts the head before a payload that ends at `at`, and the end octet after it. */
function endFrame(to: Buffer, start: number, at: number, type: number, channel: number): number {
  frameHead(to, start, type, channel, at - start - FRAME_HEAD_BYTES);
  to[at] = FRAME_END;
  return at + 1;
}
