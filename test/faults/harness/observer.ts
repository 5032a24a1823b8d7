import { isDelayName, LANDED } from '../../../src/delay/topology.js';
import type { Direction } from '../../helpers/tcp-proxy.js';
import { keyOf } from '../programs/workload.js';
import { now } from './journal.js';

/** An acknowledgement or a rejection of one message, as it passed the proxy. */
export interface WireVerdict {
  readonly t: number;
  readonly kind: 'ack' | 'reject';
  /** The program, by the name of its connection. */
  readonly program: string;
  /** Channels are numbered in the order in which they were opened, over all connections. */
  readonly channel: number;
  readonly k: string;
}

/** How often a message came to a program, as it passed the proxy. */
export interface WireDeliveries {
  all: number;
  /** Those that the server did not mark as redelivered. */
  unmarked: number;
}

interface ChannelRecord {
  number: number;
  /** What was delivered and has no verdict, by delivery tag. Undefined for a delayed message on its way to its queue. */
  readonly unsettled: Map<number, string | undefined>;
  /** A delivery whose body is still to come. */
  arriving:
    | {
        readonly tag: number;
        readonly isMarked: boolean;
        readonly from: string;
        missingBytes: number;
        readonly parts: Buffer[];
      }
    | undefined;
}

interface Stream {
  rest: Buffer;
}

interface ConnectionRecord {
  program: string;
  isReadable: boolean;
  readonly streams: Readonly<Record<Direction, Stream>>;
  readonly channels: Map<number, ChannelRecord>;
}

/** A delayed message that Leveret itself takes on to its queue: no handler gets it. */
const isOnTheWay = (exchange: string) => isDelayName(exchange) && exchange !== LANDED;

const METHOD = 1;
const HEADER = 2;
const BODY = 3;
const FRAME_END = 0xce;

/** Reads the AMQP that passes the proxy, keeps what the rules need, and notes what breaks them. */
export class Observer {
  readonly verdicts: WireVerdict[] = [];
  readonly violations: string[] = [];
  /** By program and key of the message: `consumer-1 producer-2-17`. */
  readonly deliveries = new Map<string, WireDeliveries>();
  /** When something last came through, by program. */
  readonly lastDeliveryAt = new Map<string, number>();
  /** By exchange, or by queue where there is none. */
  readonly lastDeliveryFrom = new Map<string, number>();
  readonly lastConfirmAt = new Map<string, number>();
  readonly lastPublishAt = new Map<string, number>();
  #channels = 0;
  readonly #connections = new Map<number, ConnectionRecord>();

  read(chunk: Buffer, direction: Direction, number: number): void {
    const connection = this.#connection(number);
    if (!connection.isReadable) return;
    const stream = connection.streams[direction];
    let bytes = stream.rest.length === 0 ? chunk : Buffer.concat([stream.rest, chunk]);
    if (bytes.toString('latin1', 0, 4) === 'AMQP') bytes = bytes.subarray(8);
    while (bytes.length >= 7) {
      const end = bytes.readUInt32BE(3) + 7;
      if (bytes.length <= end) break;
      if (bytes[end] !== FRAME_END) {
        this.violations.push(`connection ${number} (${connection.program}): a frame ${direction} has no end`);
        connection.isReadable = false;
        return;
      }
      this.#frame(connection, direction, bytes.subarray(0, end));
      bytes = bytes.subarray(end + 1);
    }
    stream.rest = Buffer.from(bytes);
  }

  #connection(number: number): ConnectionRecord {
    let connection = this.#connections.get(number);
    if (!connection) {
      const stream = () => ({ rest: Buffer.alloc(0) });
      connection = {
        program: `connection ${number}`,
        isReadable: true,
        streams: { 'to-server': stream(), 'to-client': stream() },
        channels: new Map(),
      };
      this.#connections.set(number, connection);
      // Long gone: nothing keeps so many open.
      this.#connections.delete(number - 200);
    }
    return connection;
  }

  #frame(connection: ConnectionRecord, direction: Direction, frame: Buffer): void {
    const id = frame.readUInt16BE(1);
    let channel = connection.channels.get(id);
    if (!channel) {
      channel = { number: 0, unsettled: new Map(), arriving: undefined };
      connection.channels.set(id, channel);
    }
    const type = frame[0];
    const payload = frame.subarray(7);
    if (type === METHOD) this.#method(connection, channel, direction, payload);
    else if (direction === 'to-client' && channel.arriving) this.#content(connection, channel, type, payload);
  }

  #method(connection: ConnectionRecord, channel: ChannelRecord, direction: Direction, payload: Buffer): void {
    const method = `${payload.readUInt16BE(0)}.${payload.readUInt16BE(2)}`;
    const rest = payload.subarray(4);
    switch (`${method} ${direction}`) {
      case '10.11 to-server': {
        const name = /connection_nameS[\s\S]{4}([\w.-]+) \((publish|consume)\)/.exec(rest.toString('latin1'));
        connection.program = name?.[1] ?? connection.program;
        break;
      }
      case '20.10 to-server':
        channel.number = ++this.#channels;
        channel.unsettled.clear();
        channel.arriving = undefined;
        break;
      case '20.40 to-client':
      case '10.50 to-client':
        this.#closed(connection, rest);
        break;
      case '60.60 to-client': {
        const at = 1 + rest.readUInt8(0);
        const tag = Number(rest.readBigUInt64BE(at));
        const exchange = shortString(rest, at + 9);
        const routingKey = shortString(rest, at + 10 + exchange.length);
        const isMarked = ((rest[at + 8] ?? 0) & 1) === 1;
        const from = exchange || routingKey;
        channel.arriving = { tag, isMarked, from, missingBytes: -1, parts: [] };
        break;
      }
      // A look into the queue before its channel closes: what it finds goes back, and no handler gets it.
      case '60.71 to-client':
        channel.unsettled.set(Number(rest.readBigUInt64BE(0)), undefined);
        break;
      case '60.40 to-server':
        this.lastPublishAt.set(connection.program, now());
        break;
      case '60.80 to-client':
        this.lastConfirmAt.set(connection.program, now());
        break;
      case '60.80 to-server':
        this.#settled(connection, channel, 'ack', rest.readBigUInt64BE(0), ((rest[8] ?? 0) & 1) === 1);
        break;
      case '60.90 to-server':
        this.#settled(connection, channel, 'reject', rest.readBigUInt64BE(0), false);
        break;
      case '60.120 to-server':
        this.#settled(connection, channel, undefined, rest.readBigUInt64BE(0), ((rest[8] ?? 0) & 1) === 1);
        break;
      default:
        break;
    }
  }

  #content(
    connection: ConnectionRecord,
    channel: ChannelRecord,
    type: number | undefined,
    payload: Buffer,
  ): void {
    const { arriving } = channel;
    if (!arriving) return;
    if (type === HEADER) arriving.missingBytes = Number(payload.readBigUInt64BE(4));
    if (type === BODY) {
      if (arriving.parts.length === 0) arriving.parts.push(Buffer.from(payload.subarray(0, 200)));
      arriving.missingBytes -= payload.length;
    }
    if (arriving.missingBytes !== 0) return;
    channel.arriving = undefined;
    if (isOnTheWay(arriving.from)) {
      channel.unsettled.set(arriving.tag, undefined);
      return;
    }
    const k = keyOf(arriving.parts[0] ?? Buffer.alloc(0)) ?? '?';
    channel.unsettled.set(arriving.tag, k);
    const key = `${connection.program} ${k}`;
    const { all, unmarked } = this.deliveries.get(key) ?? { all: 0, unmarked: 0 };
    this.deliveries.set(key, { all: all + 1, unmarked: unmarked + (arriving.isMarked ? 0 : 1) });
    this.lastDeliveryAt.set(connection.program, now());
    this.lastDeliveryFrom.set(arriving.from, now());
  }

  #settled(
    connection: ConnectionRecord,
    { number, unsettled }: ChannelRecord,
    kind: 'ack' | 'reject' | undefined,
    tagBits: bigint,
    isMultiple: boolean,
  ): void {
    const tag = Number(tagBits);
    const tags = isMultiple ? [...unsettled.keys()].filter((it) => it <= tag || tag === 0) : [tag];
    if (tags.length === 0 || !tags.every((it) => unsettled.has(it))) {
      this.violations.push(`${connection.program} sent a verdict on the unknown delivery tag ${tag}`);
    }
    for (const it of tags) {
      const k = unsettled.get(it);
      unsettled.delete(it);
      if (k === undefined || kind === undefined) continue;
      this.verdicts.push({ t: now(), kind, program: connection.program, channel: number, k });
    }
  }

  #closed({ program }: ConnectionRecord, rest: Buffer): void {
    const text = rest.toString('latin1', 3, 3 + (rest[2] ?? 0));
    if (/unknown delivery tag/.test(text)) this.violations.push(`the server to ${program}: ${text}`);
  }
}

function shortString(bytes: Buffer, at: number): string {
  return bytes.toString('latin1', at + 1, at + 1 + (bytes[at] ?? 0));
}
