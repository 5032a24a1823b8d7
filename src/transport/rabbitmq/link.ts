import type { Channel as AmqpChannel, ChannelModel, ConfirmChannel } from 'amqplib';
import { type Clock, raceAbort, withDeadline } from '../../util/clock.js';
import { deferred } from '../../util/promises.js';
import { hasNoChannelLeft } from '../failures.js';
import { type Channel, type ChannelOptions, channelsExhausted, type Link, TransportError } from '../port.js';
import { toTransportError, userLimitReached } from './amqplib-errors.js';
import { RabbitChannel } from './channel.js';
import { FramePath } from './frames/frame-path.js';
import type { OwnFrames } from './frames/own-frames.js';
import type { MessagePath, MessagePathOptions } from './message-path.js';
import { PublicApiPath } from './public-api-path.js';
import { RoundTripTimeout } from './round-trip-timeout.js';

/** The time limit for the answer to one request. amqplib itself waits indefinitely. */
const ROUND_TRIP_MS = 15_000;

/** The time limit for the closing handshake, after which the socket is dropped. */
const GOODBYE_MS = 3_000;

/** The part of a socket that amqplib's connection holds and its type declarations leave out. */
interface Stream {
  readonly destroyed: boolean;
  readonly writableEnded: boolean;
  destroy(error: Error): unknown;
}

/** The part of amqplib's connection that its type declarations leave out. */
interface RawConnection extends NodeJS.EventEmitter {
  readonly stream: Stream;
  readonly channelMax: number;
  readonly serverProperties?: { readonly version?: unknown };
}

/** A connection of amqplib. */
export class RabbitLink implements Link {
  readonly address: string;
  readonly closed: Promise<Error>;
  onBlocked: ((reason: string | undefined) => void) | undefined;
  readonly #model: ChannelModel;
  readonly #clock: Clock;
  readonly #abortSocket: AbortController;
  readonly #closed = deferred<Error>();
  readonly #limit: RoundTripTimeout;
  readonly #frames: OwnFrames | undefined;
  #isOpen: boolean;
  #blocked: string | undefined;
  #cause: Error | undefined;

  /** @param frames - our own frames, if they can be used */
  constructor(
    model: ChannelModel,
    address: string,
    clock: Clock,
    abortSocket: AbortController,
    frames: OwnFrames | undefined,
  ) {
    this.#model = model;
    this.address = address;
    this.#clock = clock;
    this.#abortSocket = abortSocket;
    this.#frames = frames;
    this.#limit = new RoundTripTimeout(clock, ROUND_TRIP_MS);
    this.closed = this.#closed.promise;
    // amqplib can report success for a connection that the server closed in the same packet. The loss would then never be
    // reported.
    const stream = this.#stream;
    this.#isOpen = !stream.destroyed && !stream.writableEnded;
    // `error` comes before `close`, and does not come at all after a graceful shutdown of the server.
    model.on('error', (error) => {
      this.#cause ??= error;
    });
    model.on('close', (error) => this.#gone(this.#cause ?? error ?? new Error('the connection was closed')));
    model.on('blocked', (reason) => this.#setBlocked(reason || 'the server has raised an alarm'));
    model.on('unblocked', () => this.#setBlocked(undefined));
    // Without it, amqplib lets an error of a listener break its reading loop.
    this.#raw.on('handler-error', (error: Error) => this.destroy(error));
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get serverVersion(): string {
    return String(this.#raw.serverProperties?.version ?? '');
  }

  get channelMax(): number {
    return this.#raw.channelMax;
  }

  get blocked(): string | undefined {
    return this.#blocked;
  }

  async openChannel(options: ChannelOptions): Promise<Channel> {
    const opening = options.confirms ? this.#model.createConfirmChannel() : this.#model.createChannel();
    const channel = await this.request(opening.catch((error) => this.#refused(error))).catch((error) => {
      // The server closed the connection because of this request, or before it.
      throw (this.#cause && userLimitReached(this.#cause)) ?? error;
    });
    const requests = {
      ask: <T>(answer: Promise<T>) => this.request(answer),
      close: (answer: Promise<unknown>) => this.#limit.unlessPaused(this.request(answer)),
    };
    return new RabbitChannel(channel, options, requests, (path) => this.#path(channel, path));
  }

  #refused(error: unknown): never {
    throw hasNoChannelLeft(error) ? channelsExhausted(this.channelMax, error) : error;
  }

  #path(channel: AmqpChannel | ConfirmChannel, options: MessagePathOptions): MessagePath {
    const frames = this.#frames?.channel(channel);
    return frames ? new FramePath(channel, frames, options) : new PublicApiPath(channel, options);
  }

  async updateSecret(secret: string): Promise<void> {
    const updated = this.#orGone(this.#model.updateSecret(Buffer.from(secret), 'the old secret expires'));
    await this.#limit.within(updated, () => new TransportError('update-secret was not answered'));
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#frames?.flush();
    const goodbye = this.#orGone(this.#model.close());
    try {
      await withDeadline(this.#clock, goodbye, GOODBYE_MS, () => new Error('no answer to the goodbye'));
    } catch {
      goodbye.catch(() => {});
    }
    this.destroy(new Error('closed'));
  }

  destroy(reason: Error): void {
    this.#cause ??= reason;
    this.#gone(this.#cause);
  }

  /**
   * Waits for an answer within the round-trip limit, not counting the time of an alarm. Without an answer, nothing on this
   * connection can be trusted any more.
   */
  async request<T>(answer: Promise<T>): Promise<T> {
    try {
      return await this.#limit.within(this.#orGone(answer), () => {
        const error = new TransportError(`the server did not answer within ${ROUND_TRIP_MS / 1000} s`);
        this.destroy(error);
        return error;
      });
    } catch (error) {
      answer.catch(() => {});
      throw toTransportError(this.#isOpen ? error : (this.#cause ?? error));
    }
  }

  /** amqplib leaves pending requests unsettled when the socket closes. */
  #orGone<T>(answer: Promise<T>): Promise<T> {
    return raceAbort(answer, this.#abortSocket.signal);
  }

  /**
   * amqplib only ends the socket, which a peer that does not respond keeps open: destroy it. With an error, because otherwise
   * amqplib does not notice: its heartbeats would continue, and its channels stay open, until the next one is missed.
   */
  #gone(reason: Error): void {
    const wasOpen = this.#isOpen;
    this.#isOpen = false;
    this.#blocked = undefined;
    this.#stream.destroy(reason);
    this.#abortSocket.abort();
    if (!wasOpen) return;
    this.#closed.resolve(reason);
  }

  #setBlocked(reason: string | undefined): void {
    this.#blocked = reason;
    if (reason === undefined) this.#limit.resume();
    else this.#limit.pause();
    this.onBlocked?.(reason);
  }

  get #raw(): RawConnection {
    return this.#model.connection as unknown as RawConnection;
  }

  get #stream(): Stream {
    return this.#raw.stream;
  }
}
