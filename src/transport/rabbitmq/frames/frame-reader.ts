import { messageOf } from '../../../errors.js';
import type { Delivery } from '../../port.js';
import { readProperties } from './properties.js';
import {
  BASIC,
  BASIC_ACK,
  BASIC_DELIVER,
  BASIC_NACK,
  BODY_FRAME,
  checkRoom,
  FRAME_END,
  FRAME_HEAD_BYTES,
  FRAME_OVERHEAD_BYTES,
  HEADER_FRAME,
  METHOD_FRAME,
  readAgain,
  readUint16,
  readUint32,
  readUint64,
  textEnd,
} from './wire.js';

/** Receives the deliveries and confirms of one channel. Without a sink, a channel's frames go to amqplib. */
export interface Sink {
  /** Must not throw. */
  readonly onDelivery: (consumerTag: string, delivery: Delivery) => void;
  /** Present where publishes are confirmed. Must not throw. */
  readonly onConfirm?: ((publishTag: number, multiple: boolean, accepted: boolean) => void) | undefined;
}

/** The part of the connection that the reader uses. */
export interface Source {
  /** The most bytes of a frame, as negotiated. */
  readonly frameMax: number;
  /** Returns the bytes that have arrived since the last call; null: none. */
  read(): Buffer | null;
}

/** The largest body that RabbitMQ can be configured for (rabbit.hrl, MAX_MSG_SIZE). */
const MAX_BODY_BYTES = 512 * 1024 * 1024;

/** A delivery that is filled in frame by frame. */
type Unread = { -readonly [K in keyof Delivery]: Delivery[K] };

/** The delivery that is being received on one channel. */
interface Reception {
  readonly sink: Sink;
  /** The tag of the last delivery, which is mostly that of the next one, too. */
  consumerTag: string;
  exchange: string;
  routingKey: string;
  contentType: string;
  /** A delivery of which some frames are still missing. */
  delivery: Unread | undefined;
  /** The missing bytes of its body; undefined: its header has not arrived. */
  missingBytes: number | undefined;
  /** The parts of a body in several frames. */
  pieces: Buffer[];
}

const NOTHING = Buffer.alloc(0);

/**
 * Reads the frames of one connection in order. Deliveries and confirms go to the sinks of their channels; {@link
 * FrameReader.next} returns every other frame.
 */
export class FrameReader {
  readonly #source: Source;
  /** By channel number. */
  readonly #receptions: (Reception | undefined)[] = [];
  #bytes: Buffer;
  #at = 0;

  /** @param bytes - the bytes that were already read */
  constructor(source: Source, bytes: Buffer) {
    this.#source = source;
    this.#bytes = bytes;
  }

  attach(channel: number, sink: Sink): void {
    this.#receptions[channel] = {
      sink,
      consumerTag: '',
      exchange: '',
      routingKey: '',
      contentType: '',
      delivery: undefined,
      missingBytes: undefined,
      pieces: [],
    };
  }

  detach(channel: number): void {
    this.#receptions[channel] = undefined;
  }

  /**
   * The bytes of the next frame that is for no sink, once it is complete; undefined when nothing more has arrived.
   *
   * @throws Error for bytes that are not a frame, and for an invalid sequence of frames: nothing that follows on the
   * connection can be trusted
   */
  next(): Buffer | undefined {
    for (;;) {
      const bytes = this.#bytes;
      const start = this.#at;
      if (bytes.length - start >= FRAME_HEAD_BYTES) {
        const end = start + frameBytes(bytes, start, this.#source.frameMax);
        if (end <= bytes.length) {
          if (bytes[end - 1] !== FRAME_END) throw new Error('a frame does not end where it should');
          // Before the sink gets the frame, because the sink may do anything.
          this.#at = end;
          if (!this.#take(start, end - 1)) return bytes.subarray(start, end);
          continue;
        }
      }
      if (!this.#readOn()) return undefined;
    }
  }

  #readOn(): boolean {
    const more = this.#source.read();
    if (more === null) {
      // A quiet connection must not retain bytes that were read and handled.
      if (this.#at === this.#bytes.length) {
        this.#bytes = NOTHING;
        this.#at = 0;
      }
      return false;
    }
    const rest = this.#bytes.subarray(this.#at);
    this.#bytes = rest.length === 0 ? more : Buffer.concat([rest, more]);
    this.#at = 0;
    return true;
  }

  /** Returns false for a frame that is for no sink. */
  #take(start: number, end: number): boolean {
    const bytes = this.#bytes;
    const reception = this.#receptions[readUint16(bytes, start + 1)];
    if (reception === undefined) return false;
    const at = start + FRAME_HEAD_BYTES;
    switch (bytes[start]) {
      case METHOD_FRAME:
        return this.#method(reception, at, end);
      case HEADER_FRAME:
        return this.#header(reception, at, end);
      case BODY_FRAME:
        return this.#body(reception, at, end);
      default:
        return false;
    }
  }

  #method(reception: Reception, at: number, end: number): boolean {
    const bytes = this.#bytes;
    checkRoom(at, 4, end);
    const method = readUint32(bytes, at);
    if (method === BASIC_DELIVER) {
      this.#begin(reception, at + 4, end);
      return true;
    }
    if (method !== BASIC_ACK && method !== BASIC_NACK) return false;
    const { onConfirm } = reception.sink;
    if (!onConfirm) return false;
    checkRoom(at, 13, end);
    const isMultiple = ((bytes[at + 12] as number) & 1) === 1;
    onConfirm(readUint64(bytes, at + 4), isMultiple, method === BASIC_ACK);
    return true;
  }

  /** Reads a `basic.deliver`. */
  #begin(reception: Reception, start: number, end: number): void {
    if (reception.delivery) throw new Error('a delivery came within another one');
    const bytes = this.#bytes;
    const tagAt = textEnd(bytes, start, end);
    const exchangeAt = tagAt + 9;
    const keyAt = textEnd(bytes, exchangeAt, end);
    const last = textEnd(bytes, keyAt, end);
    reception.consumerTag = readAgain(bytes, start + 1, tagAt, reception.consumerTag);
    reception.exchange = readAgain(bytes, exchangeAt + 1, keyAt, reception.exchange);
    reception.routingKey = readAgain(bytes, keyAt + 1, last, reception.routingKey);
    reception.delivery = {
      deliveryTag: readUint64(bytes, tagAt),
      redelivered: ((bytes[tagAt + 8] as number) & 1) === 1,
      exchange: reception.exchange,
      routingKey: reception.routingKey,
      properties: NONE,
      content: NOTHING,
      problem: undefined,
    };
    reception.missingBytes = undefined;
  }

  /** Reads a content header. Returns false when it belongs to something else, such as a returned message. */
  #header(reception: Reception, at: number, end: number): boolean {
    const { delivery } = reception;
    if (!delivery) return false;
    if (reception.missingBytes !== undefined) throw new Error('a delivery has two headers');
    const bytes = this.#bytes;
    checkRoom(at, 12, end);
    const bodyBytes = readUint64(bytes, at + 4);
    if (readUint16(bytes, at) !== BASIC) throw new Error('a delivery has a header of another class');
    if (bodyBytes > MAX_BODY_BYTES) {
      throw new RangeError(`a delivery announces ${bodyBytes} bytes, RabbitMQ allows ${MAX_BODY_BYTES}`);
    }
    try {
      const properties = readProperties(bytes, at + 12, end, reception.contentType);
      delivery.properties = properties;
      if (typeof properties.contentType === 'string') reception.contentType = properties.contentType;
    } catch (error) {
      // Another client's mistake. On a new connection the message would only be delivered again.
      delivery.problem = `its properties cannot be read: ${messageOf(error)}`;
    }
    reception.missingBytes = bodyBytes;
    if (bodyBytes === 0) this.#complete(reception, delivery, NOTHING);
    return true;
  }

  #body(reception: Reception, at: number, end: number): boolean {
    const { delivery, missingBytes, pieces } = reception;
    if (!delivery) return false;
    if (missingBytes === undefined) throw new Error('a delivery has no header before its body');
    const piece = this.#bytes.subarray(at, end);
    if (piece.length > missingBytes) {
      throw new Error(`a delivery has ${piece.length - missingBytes} bytes more than it announced`);
    }
    reception.missingBytes = missingBytes - piece.length;
    if (reception.missingBytes > 0) {
      pieces.push(piece);
      return true;
    }
    if (pieces.length === 0) {
      this.#complete(reception, delivery, piece);
      return true;
    }
    pieces.push(piece);
    reception.pieces = [];
    this.#complete(reception, delivery, Buffer.concat(pieces));
    return true;
  }

  #complete(reception: Reception, delivery: Unread, content: Buffer): void {
    delivery.content = content;
    reception.delivery = undefined;
    reception.sink.onDelivery(reception.consumerTag, delivery);
  }
}

function frameBytes(from: Buffer, at: number, frameMax: number): number {
  const sizeBytes = readUint32(from, at + 3) + FRAME_OVERHEAD_BYTES;
  if (sizeBytes > frameMax)
    throw new RangeError(`a frame of ${sizeBytes} bytes came, ${frameMax} are allowed`);
  return sizeBytes;
}

const NONE: Delivery['properties'] = Object.freeze({});
