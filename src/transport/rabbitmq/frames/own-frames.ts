import type { ChannelModel, Channel as PublicChannel } from 'amqplib';
import { type AmqpChannel, type AmqpConnection, channelOf, connectionOf } from './amqplib-internals.js';
import { FrameReader, type Sink } from './frame-reader.js';
import { FrameWriter } from './frame-writer.js';

/** Captured here, so that it stays the real one when a test fakes the timers. */
const { nextTick } = process;

/**
 * Our own frames on amqplib's connection, for the most frequent ones: publishes, deliveries, acknowledgements and confirms.
 * amqplib does everything else: the handshake, channel 0, heartbeats, and every other method.
 *
 * There is one hook per direction. Reading: `recvFrame` of this connection takes out the frames for our channels, and passes
 * every other frame to amqplib. Writing: everything written in one turn of the event loop goes to the socket in one `write`,
 * after everything that amqplib was told to send on the same channel before.
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

  /** Installs the hooks on an open connection, or returns the name of a part that the connection lacks. */
  static over(model: ChannelModel): OwnFrames | string {
    const connection = connectionOf(model);
    return typeof connection === 'string' ? connection : new OwnFrames(connection);
  }

  /** Takes over a channel. Undefined if amqplib's channel lacks something. */
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

  /**
   * @internal The writer, whose output follows what amqplib has buffered for this channel. Throws when the connection is
   * closing.
   */
  writerFor(channel: number): FrameWriter {
    const { sendMethod, channels } = this.#connection;
    // As amqplib does: it has replaced the function by one that throws.
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

  /** Sends the written frames, so that amqplib's next frames come after them. */
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
    // Once the connection is gone, its channels are notified.
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

  /** The writer, for immediate use. Throws what amqplib throws on a channel that is closed or closing. */
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

  /** Returns the channel to amqplib: it is closing, or gone. */
  release(): void {
    this.#frames.flush();
    this.#frames.detach(this.#number);
  }
}
