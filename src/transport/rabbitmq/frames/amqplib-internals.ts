import type { ChannelModel, Channel as PublicChannel } from 'amqplib';

/**
 * The parts of amqplib that the frames need beyond its public API, as of version 2.3. amqplib promises none of them, so each
 * is checked before use.
 */

/** The stream that a connection reads from and writes to: a socket, or a wrapper around it. */
interface Stream {
  readonly writable: boolean;
  read(): Buffer | null;
  write(bytes: Buffer): boolean;
}

/** `Connection` of amqplib's connection.js. */
export interface AmqpConnection {
  readonly stream: Stream;
  /** The most bytes of a frame, as negotiated. */
  readonly frameMax: number;
  /** By number; the first is the connection's own. */
  readonly channels: readonly ({ readonly buffer: WriteBuffer } | null)[];
  /** Bytes that were read and do not form a whole frame yet. */
  rest: Buffer;
  /** For heartbeats. */
  sentSinceLastCheck: boolean;
  recvSinceLastCheck: boolean;
  /** Takes the next frame out of `rest`, or reads; false when there is none. */
  recvFrame(): unknown;
  /** Replaced by one that throws when the connection begins to close. */
  sendMethod: (...args: never[]) => unknown;
}

/** The buffer in which a channel's frames wait for the socket. */
interface WriteBuffer {
  readonly readableLength: number;
  read(): Buffer | null;
}

/** `Channel` of amqplib's channel.js. */
export interface AmqpChannel {
  /** Its number. */
  readonly ch: number;
  /** Replaced by one that throws when the channel begins to close. */
  sendImmediately: (...args: never[]) => unknown;
}

/** A heartbeat, the shortest frame there is. */
const HEARTBEAT = Buffer.from([8, 0, 0, 0, 0, 0, 0, 0xce]);

/** The connection behind the public one, or the name of a part that it lacks. */
export function connectionOf(model: ChannelModel): AmqpConnection | string {
  const connection = model.connection as unknown as Partial<AmqpConnection>;
  const { stream, rest, frameMax, channels } = connection;
  if (typeof stream?.read !== 'function' || typeof stream.write !== 'function') return 'connection.stream';
  if (typeof stream.writable !== 'boolean') return 'connection.stream.writable';
  if (!Buffer.isBuffer(rest)) return 'connection.rest';
  if (typeof frameMax !== 'number' || frameMax < 4096) return 'connection.frameMax';
  if (!Array.isArray(channels)) return 'connection.channels';
  if (typeof connection.sentSinceLastCheck !== 'boolean') return 'connection.sentSinceLastCheck';
  if (typeof connection.recvSinceLastCheck !== 'boolean') return 'connection.recvSinceLastCheck';
  if (typeof connection.sendMethod !== 'function') return 'connection.sendMethod';
  return takesFramesFromRest(connection as AmqpConnection)
    ? (connection as AmqpConnection)
    : 'connection.recvFrame';
}

/** Checks that `recvFrame` takes exactly the frame in `rest`. */
function takesFramesFromRest(connection: AmqpConnection): boolean {
  if (typeof connection.recvFrame !== 'function' || Object.hasOwn(connection, 'recvFrame')) return false;
  const { rest } = connection;
  connection.rest = HEARTBEAT;
  try {
    const frame = connection.recvFrame() as { readonly channel?: unknown } | false;
    return frame !== false && frame.channel === 0 && connection.rest.length === 0;
  } catch {
    return false;
  } finally {
    connection.rest = rest;
  }
}

/** The channel behind the public one; undefined if a part is missing. */
export function channelOf(connection: AmqpConnection, channel: PublicChannel): AmqpChannel | undefined {
  const { ch, sendImmediately } = channel as unknown as Partial<AmqpChannel>;
  if (typeof ch !== 'number' || typeof sendImmediately !== 'function') return undefined;
  const buffer = connection.channels[ch]?.buffer;
  if (typeof buffer?.read !== 'function' || typeof buffer.readableLength !== 'number') return undefined;
  return channel as unknown as AmqpChannel;
}
