import type { ChannelModel, Channel as PublicChannel } from 'amqplib';
import { type AmqpChannel, type AmqpConnection, channelOf, connectionOf } from './amqplib-internals.js';
import { FrameReader, type Sink } from './frame-reader.js';
import { FrameWriter } from './frame-writer.js';

/** Taken here, so that it stays the real one when somebody fakes the timers. */
const { nextTick } = process;

/**
 * Frames of our own on the connection of amqplib, for what there is most of: publishes, deliveries, acknowledgements and
 * confirms. Everything else stays with amqplib: the handshake, channel 0, heartbeats, and every other method.
 *
 * There is one hook for each direction. Reading: `recvFrame` of this one connection takes out what is for our channels, and gives
 * amqplib each other frame. Writing: what is written in one turn goes to the socket in one `write`, behind everything that
 * amqplib was told before to send on the same channel.
 */
export class OwnFrames {
  readonly #connection: AmqpConnection;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  readonly #sendMethod: AmqpConnection['sendMethod'];
  #isScheduled = false;

  private constructor(connection: AmqpConnection) {
    this.#connection = connection;
    this.#sendMethod = connection.sendMethod;
    const source = { frameMax: connection.frameMax, read: () => this.#read() };
    this.#reader = new FrameReader(source, connection.rest);
    this.#writer = new FrameWriter(connection.frameMax, (bytes) => this.#write(bytes));
    const { recvFrame } = connection;
    connection.rest = Buffer.alloc(0);
    connection.recvFrame = () => {
      const frame = this.#reader.next();
      if (!frame) return false;
      connection.rest = frame;
      return recvFrame.call(connection);
    };
  }

  /** Puts the hooks into an open connection. Returns the name of what it lacks, if it cannot be. */
  static over(model: ChannelModel): OwnFrames | string {
    const connection = connectionOf(model);
    return typeof connection === 'string' ? connection : new OwnFrames(connection);
  }

  /** What can take over a channel. Undefined where amqplib's lacks something. */
  channel(channel: PublicChannel): ChannelFrames | undefined {
    const raw = channelOf(this.#connection, channel);
    return raw && new ChannelFrames(this, raw);
  }

  /** @internal */
  attach(channel: number, sink: Sink): void {
    this.#reader.attach(channel, sink);
  }

  /** @internal */
  detach(channel: number): void {
    this.#reader.detach(channel);
  }

  /** @internal The writer, which writes behind what amqplib has for this channel. Throws when the connection is closing. */
  writerFor(channel: number): FrameWriter {
    const { sendMethod, channels } = this.#connection;
    // As amqplib would: it has replaced the function by one that throws.
    if (sendMethod !== this.#sendMethod) sendMethod();
    const buffer = channels[channel]?.buffer;
    if (buffer && buffer.readableLength > 0) {
      for (let frame = buffer.read(); frame !== null; frame = buffer.read()) this.#writer.append(frame);
    }
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      nextTick(this.#flushLater);
    }
    return this.#writer;
  }

  /** Sends what was written, so that what amqplib is told next comes behind it. */
  flush(): void {
    this.#writer.flush();
  }

  readonly #flushLater = () => {
    this.#isScheduled = false;
    this.#writer.flush();
  };

  #read(): Buffer | null {
    const bytes = this.#connection.stream.read();
    if (bytes !== null) this.#connection.recvSinceLastCheck = true;
    return bytes;
  }

  #write(bytes: Buffer): void {
    const { stream } = this.#connection;
    // Once it is gone, its channels are told so.
    if (!stream.writable) return;
    this.#connection.sentSinceLastCheck = true;
    stream.write(bytes);
  }
}

/** The frames of one channel. */
export class ChannelFrames {
  readonly #frames: OwnFrames;
  readonly #channel: AmqpChannel;
  readonly #number: number;
  readonly #sendImmediately: AmqpChannel['sendImmediately'];

  constructor(frames: OwnFrames, channel: AmqpChannel) {
    this.#frames = frames;
    this.#channel = channel;
    this.#number = channel.ch;
    this.#sendImmediately = channel.sendImmediately;
  }

  /** From now on deliveries and confirms go to the sink. */
  attach(sink: Sink): void {
    this.#frames.attach(this.#number, sink);
  }

  /** Where to write to, at once. Throws what amqplib throws on a channel that is closed or closing. */
  get writer(): FrameWriter {
    const { sendImmediately } = this.#channel;
    if (sendImmediately !== this.#sendImmediately) sendImmediately();
    return this.#frames.writerFor(this.#number);
  }

  get number(): number {
    return this.#number;
  }

  flush(): void {
    this.#frames.flush();
  }

  /** Leaves the channel to amqplib: it is closing, or gone. */
  release(): void {
    this.#frames.flush();
    this.#frames.detach(this.#number);
  }
}
