import type { Clock, Timer } from '../../util/clock.js';
import { deferred } from '../../util/promises.js';
import { realTimers } from '../../util/timers.js';
import {
  type Channel,
  type ChannelOptions,
  channelsExhausted,
  type Link,
  type Role,
  TransportError,
} from '../port.js';
import { type ChannelLink, MemoryChannel } from './channel.js';
import type { MemoryServer } from './server.js';

/** The most answers and deliveries in one turn of the event loop, so that other I/O gets its turn. */
const BATCH = 512;

/** RabbitMQ's default `channel_max`. */
const CHANNEL_MAX = 2_047;

/** A timer this long keeps the process alive, as an open socket does. */
const KEEP_ALIVE_MS = 2 ** 31 - 1;

/**
 * One connection to an embedded server. The server runs the client's commands at once. Its answers arrive in order, in a later turn of
 * the event loop, as from a socket: in microtasks, two sides that answer each other would block the process.
 */
export class MemoryLink implements Link, ChannelLink {
  readonly channelMax = CHANNEL_MAX;
  readonly address: string;
  readonly role: Role;
  readonly server: MemoryServer;
  readonly closed: Promise<Error>;
  onBlocked: ((reason: string | undefined) => void) | undefined;
  readonly #clock: Clock;
  readonly #closed = deferred<Error>();
  readonly #channels = new Set<MemoryChannel>();
  readonly #requests = new Set<(error: TransportError) => void>();
  /** Events of the server that the client has not received yet. */
  #arriving: (() => void)[] = [];
  #isScheduled = false;
  /** Commands of the client that the server does not read during an alarm. */
  #held: (() => void)[] | undefined;
  #hasPublished = false;
  #blocked: string | undefined;
  #isOpen = true;
  #keepAlive: Timer;

  constructor(server: MemoryServer, address: string, role: Role) {
    this.server = server;
    this.role = role;
    this.address = address;
    this.#clock = server.clock;
    this.closed = this.#closed.promise;
    this.#keepAlive = this.#stayAlive();
    server.links.add(this);
  }

  get serverVersion(): string {
    return this.server.behaviour.version;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isBusy(): boolean {
    return this.#arriving.length > 0;
  }

  get blocked(): string | undefined {
    return this.#blocked;
  }

  /** While an alarm stops the server from reading. */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  openChannel(options: ChannelOptions): Promise<Channel> {
    // Like amqplib, which knows the limit and requests no further channel.
    if (this.#channels.size >= this.channelMax) return Promise.reject(channelsExhausted(this.channelMax));
    return this.request(() => {
      const channel = new MemoryChannel(this, options);
      this.#channels.add(channel);
      return channel;
    });
  }

  updateSecret(): Promise<void> {
    return this.request(() => {});
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    // Earlier requests are answered before the goodbye.
    if (!this.#held) await this.request(() => {}).catch(() => {});
    this.destroy(new Error('closed'));
  }

  destroy(reason: Error): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#blocked = undefined;
    this.#held = undefined;
    this.#arriving = [];
    this.#clock.clearTimeout(this.#keepAlive);
    const error =
      reason instanceof TransportError ? reason : new TransportError(reason.message, { cause: reason });
    for (const channel of [...this.#channels]) channel.linkClosed();
    this.server.linkClosed(this);
    // In a later turn, as from a socket: never while the caller still runs.
    realTimers.setImmediate(() => {
      this.#closed.resolve(reason);
      for (const reject of this.#requests) reject(error);
      this.#requests.clear();
      for (const channel of this.#channels) channel.closedByServer(error);
      this.#channels.clear();
    });
  }

  drop(reason: Error): void {
    this.destroy(reason);
  }

  setAlarm(reason: string | undefined): void {
    // A connection that has never published is left alone.
    if (reason !== undefined) {
      if (this.#hasPublished) this.#block(reason);
      return;
    }
    const held = this.#held;
    if (!held) return;
    this.#held = undefined;
    this.arrive(() => this.#setBlocked(undefined));
    for (const command of held) this.command(command);
  }

  /** Runs a command on the server, after the alarm if there is one. */
  command(command: () => void): void {
    if (!this.#isOpen) return;
    if (this.#held) this.#held.push(command);
    else command();
  }

  /** Runs a command that publishes. During an alarm, the first such command blocks the connection. */
  publishCommand(command: () => void): void {
    this.#hasPublished = true;
    const { alarm } = this.server;
    if (alarm !== undefined && !this.#held) this.#block(alarm);
    this.command(command);
  }

  /** Sends a request, and waits for its answer, which only an alarm delays. Rejects with a `TransportError`. */
  request<T>(ask: () => T): Promise<T> {
    if (!this.#isOpen) return Promise.reject(new TransportError('the connection is closed'));
    return new Promise<T>((resolve, reject) => {
      this.#requests.add(reject);
      this.command(() => {
        try {
          const result = ask();
          this.arrive(() => {
            this.#requests.delete(reject);
            resolve(result);
          });
        } catch (error) {
          this.arrive(() => {
            this.#requests.delete(reject);
            reject(error as Error);
          });
        }
      });
    });
  }

  /** Delivers an event to the client, after the earlier ones. */
  arrive(event: () => void): void {
    if (!this.#isOpen) return;
    this.#arriving.push(event);
    this.#schedule();
  }

  forget(channel: MemoryChannel): void {
    this.#channels.delete(channel);
  }

  #block(reason: string): void {
    if (this.#held) return;
    this.#held = [];
    this.arrive(() => this.#setBlocked(reason));
  }

  #setBlocked(reason: string | undefined): void {
    this.#blocked = reason;
    this.onBlocked?.(reason);
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    realTimers.setImmediate(() => this.#handOver());
  }

  #handOver(): void {
    this.#isScheduled = false;
    const batch = this.#arriving.length <= BATCH ? this.#arriving : this.#arriving.slice(0, BATCH);
    this.#arriving = batch === this.#arriving ? [] : this.#arriving.slice(BATCH);
    for (const [at, event] of batch.entries()) {
      if (!this.#isOpen) return;
      try {
        event();
      } catch (error) {
        // As with a socket, the next events are still read.
        this.#arriving = [...batch.slice(at + 1), ...this.#arriving];
        if (this.#arriving.length > 0) this.#schedule();
        throw error;
      }
    }
    if (this.#arriving.length > 0) this.#schedule();
  }

  #stayAlive(): Timer {
    return this.#clock.setTimeout(() => {
      this.#keepAlive = this.#stayAlive();
    }, KEEP_ALIVE_MS);
  }
}
