import { classify } from '../transport/failures.js';
import { type Channel, type Link, TransportError } from '../transport/port.js';
import { realTimers } from '../util/timers.js';

/** The share of a connection's channels for declarations: the others are for consumers and publishers. */
const SHARE = 1 / 16;

/**
 * The most channels that declarations use at once, on each link of a broker. A user can be allowed fewer channels than a connection.
 * The server does not say so in advance: one too many costs the connection.
 */
export class ChannelAllowance {
  most = 16;
}

/**
 * The channels of a declarer. Operations run side by side, each on a channel of its own: amqplib sends one request at a time on a
 * channel, and a refusal closes the channel of that operation alone. Channels are opened as they are needed, and closed when nothing
 * is left to do.
 */
export class ChannelPool {
  readonly #link: Link;
  readonly #allowance: ChannelAllowance;
  readonly #idle: Channel[] = [];
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #closing: Promise<unknown> = Promise.resolve();

  constructor(link: Link, allowance = new ChannelAllowance()) {
    this.#link = link;
    this.#allowance = allowance;
  }

  /** Runs the operation as soon as there is a channel for it, after those that wait already. Settles as it does. */
  async run<T>(operation: (channel: Channel) => Promise<T>): Promise<T> {
    await this.#enter();
    let channel: Channel | undefined;
    try {
      channel = await this.#take();
      return await operation(channel);
    } finally {
      if (channel?.isOpen) this.#idle.push(channel);
      this.#leave();
    }
  }

  get #most(): number {
    return Math.max(1, Math.min(this.#allowance.most, Math.floor(this.#link.channelMax * SHARE)));
  }

  async #enter(): Promise<void> {
    if (this.#running >= this.#most) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
  }

  /** Passes the place of an operation to one that waits. */
  #leave(): void {
    const next = this.#running > this.#most ? undefined : this.#waiting.shift();
    if (next) {
      next();
      return;
    }
    this.#running--;
    // A caller that declares again as soon as it has this answer uses the same channel.
    if (this.#running === 0) realTimers.setImmediate(() => this.#closeIfIdle());
  }

  async #take(): Promise<Channel> {
    await this.#closing;
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) if (idle.isOpen) return idle;
    const { most } = this.#allowance;
    try {
      return await this.#link.openChannel({ confirms: false, onClosed: () => {} });
    } catch (error) {
      const isAlone = this.#link.isOpen ? this.#running === 1 : most === 1;
      if (classify(error) !== 'no-channel' || isAlone) throw error;
      this.#allowance.most = 1;
      // The operation may succeed on the next link, with fewer channels.
      if (!this.#link.isOpen) throw new TransportError((error as Error).message, { cause: error });
      this.#leave();
      await this.#enter();
      return this.#take();
    }
  }

  #closeIfIdle(): void {
    if (this.#running > 0) return;
    this.#closing = Promise.all(this.#idle.splice(0).map((channel) => channel.close()));
  }
}
