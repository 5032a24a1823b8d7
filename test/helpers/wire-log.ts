import type { Direction, TcpProxy } from './tcp-proxy.js';

/** A method frame, as it passed the proxy. */
export interface WireMethod {
  /** Connections are numbered from 1, in the order in which they were accepted. */
  readonly connection: number;
  readonly direction: Direction;
  readonly channel: number;
  /** Such as `basic.ack`; `60.20` for those without a name here. */
  readonly name: string;
  /** What follows the class and method ids. */
  readonly payload: Buffer;
}

/** Class and method ids of AMQP 0-9-1, and of RabbitMQ's extensions. */
const names: Readonly<Record<string, string>> = {
  '10.50': 'connection.close',
  '10.70': 'connection.update-secret',
  '10.71': 'connection.update-secret-ok',
  '20.40': 'channel.close',
  '60.20': 'basic.consume',
  '60.40': 'basic.publish',
  '60.60': 'basic.deliver',
  '60.80': 'basic.ack',
  '60.90': 'basic.reject',
  '60.120': 'basic.nack',
};

const METHOD = 1;
const PROTOCOL_HEADER = 'AMQP';

/** Reads the AMQP that passes a proxy. */
export class WireLog {
  readonly methods: WireMethod[] = [];
  readonly #streams = new Map<string, Buffer>();
  readonly #appended = new Map<number, Buffer>();

  /** Reads from now on what passes the proxy, connections that are new. */
  static of(proxy: TcpProxy): WireLog {
    const log = new WireLog();
    proxy.intercept((chunk, direction, connection) => {
      const isBetweenFrames = log.#read(chunk, direction, connection);
      const appended = log.#appended.get(connection);
      if (!appended || direction !== 'to-server' || !isBetweenFrames) return [chunk];
      log.#appended.delete(connection);
      return [chunk, appended];
    });
    return log;
  }

  /** The methods of one name. */
  of(name: string, direction?: Direction): WireMethod[] {
    return this.methods.filter(
      (it) => it.name === name && (direction === undefined || it.direction === direction),
    );
  }

  /** Sends the server a frame more, after the next ones of the client. */
  append(connection: number, frame: Buffer): void {
    this.#appended.set(connection, frame);
  }

  /** True when the chunk ends where a frame ends. */
  #read(chunk: Buffer, direction: Direction, connection: number): boolean {
    const key = `${connection} ${direction}`;
    let bytes = Buffer.concat([this.#streams.get(key) ?? Buffer.alloc(0), chunk]);
    if (bytes.toString('latin1', 0, 4) === PROTOCOL_HEADER) bytes = bytes.subarray(8);
    // A frame: type, channel (2), size (4), payload, end.
    while (bytes.length >= 7 && bytes.length >= bytes.readUInt32BE(3) + 8) {
      const size = bytes.readUInt32BE(3);
      if (bytes[0] === METHOD) {
        const id = `${bytes.readUInt16BE(7)}.${bytes.readUInt16BE(9)}`;
        this.methods.push({
          connection,
          direction,
          channel: bytes.readUInt16BE(1),
          name: names[id] ?? id,
          payload: Buffer.from(bytes.subarray(11, 7 + size)),
        });
      }
      bytes = bytes.subarray(size + 8);
    }
    this.#streams.set(key, bytes);
    return bytes.length === 0;
  }
}

/** The delivery tag of `basic.ack`, `basic.nack` or `basic.reject`. */
export function tagOf({ payload }: WireMethod): number {
  return Number(payload.readBigUInt64BE(0));
}

/** A frame of `basic.ack`, for one message. */
export function ackFrame(channel: number, tag: bigint): Buffer {
  const frame = Buffer.alloc(21);
  frame.writeUInt8(METHOD, 0);
  frame.writeUInt16BE(channel, 1);
  frame.writeUInt32BE(13, 3);
  frame.writeUInt16BE(60, 7);
  frame.writeUInt16BE(80, 9);
  frame.writeBigUInt64BE(tag, 11);
  frame.writeUInt8(0xce, 20);
  return frame;
}
