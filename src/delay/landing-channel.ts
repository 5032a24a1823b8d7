import { transitHeaders } from '../messages/headers.js';
import { headersOf } from '../messages/properties.js';
import { ConfirmWindow } from '../transport/confirm-window.js';
import {
  type Channel,
  type Delivery,
  type Link,
  type MessageProperties,
  type OutgoingMessage,
  RETURN_ID_HEADER,
  type Returned,
  TransportError,
} from '../transport/port.js';
import type { Clock, Timer } from '../util/clock.js';
import { type Deferred, deferred } from '../util/promises.js';
import { Serial } from '../util/serial.js';

/**
 * The outcome of forwarding a message. `unroutable`: also a message that cannot be encoded. `lost`: the channel is gone, and the
 * answer with it.
 */
export type ForwardOutcome = 'confirmed' | 'nacked' | 'unroutable' | 'lost';

/**
 * After this long without an answer to the oldest message, the channel is closed: a confirm can be lost with the leader of a quorum
 * queue. The server then redelivers the messages of the channel.
 */
const UNANSWERED_MS = 30_000;

interface Sent {
  readonly id: unknown;
  readonly sizeBytes: number;
  readonly outcome: Deferred<ForwardOutcome>;
  isReturned: boolean;
}

/** A channel that receives landed messages and forwards them. Each is acknowledged after the confirm, so that none is lost. */
export class LandingChannel {
  /** Resolves when the channel is gone. */
  readonly closed: Promise<void>;
  readonly #closed = deferred<void>();
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #sent = new ConfirmWindow<Sent>();
  #channel!: Channel;
  #watch: Timer | undefined;
  /** `basic.qos` applies to the consumers that begin after it. */
  readonly #commands = new Serial();

  private constructor(link: Link, clock: Clock) {
    this.#link = link;
    this.#clock = clock;
    this.closed = this.#closed.promise;
  }

  /** Rejects with a `TransportError`. */
  static async open(link: Link, clock: Clock): Promise<LandingChannel> {
    const opened = new LandingChannel(link, clock);
    opened.#channel = await link.openChannel({
      confirms: true,
      onClosed: () => opened.#ended(),
      onConfirm: (tag, multiple, accepted) => opened.#confirmed(tag, multiple, accepted),
      onReturn: (returned) => opened.#returned(returned),
    });
    return opened;
  }

  get isOpen(): boolean {
    return this.#channel.isOpen;
  }

  /**
   * Consumes from a queue. The channel is closed when the server cancels the consumer. Rejects with a `TransportError`.
   *
   * @param prefetch - the most messages in flight
   */
  consume(queue: string, prefetch: number, onDelivery: (delivery: Delivery) => void): Promise<string> {
    return this.#commands.run(async () => {
      await this.#channel.setPrefetch(prefetch);
      const options = { noAck: false, exclusive: false, arguments: {}, isReplicated: true };
      return this.#channel.consume(queue, options, (delivery) => {
        if (delivery) onDelivery(delivery);
        else void this.close();
      });
    });
  }

  async cancel(consumerTag: string): Promise<void> {
    if (this.isOpen) await this.#channel.cancel(consumerTag);
  }

  /** Forwards a message through an exchange. Never rejects. */
  send(exchange: string, delivery: Delivery): Promise<ForwardOutcome> {
    if (!this.isOpen) return Promise.resolve('lost');
    const { content, properties } = delivery;
    const id = idOf(properties);
    const sent: Sent = { id, sizeBytes: content.length, outcome: deferred(), isReturned: false };
    try {
      this.#channel.publish(onward(exchange, delivery));
    } catch {
      // The headers can be decoded but not encoded, or the channel is gone.
      return Promise.resolve(this.isOpen ? 'unroutable' : 'lost');
    }
    this.#sent.push(sent);
    this.#watchOldest();
    return sent.outcome.promise;
  }

  /** Acknowledges a forwarded message. */
  ack({ deliveryTag }: Delivery): void {
    this.#settle(() => this.#channel.ack(deliveryTag, false));
  }

  /** Requeues a message, which leaves it to the server. */
  giveBack({ deliveryTag }: Delivery): void {
    this.#settle(() => this.#channel.nack(deliveryTag, { multiple: false, requeue: true }));
  }

  /** Closes the channel: the server requeues unacknowledged messages. Never rejects. */
  close(): Promise<void> {
    return this.#channel.close();
  }

  #settle(settle: () => void): void {
    if (!this.isOpen) return;
    try {
      settle();
    } catch (error) {
      // The channel is gone: its messages are redelivered.
      if (!(error instanceof TransportError)) throw error;
    }
  }

  #confirmed(tag: number, multiple: boolean, accepted: boolean): void {
    this.#sent.take(tag, multiple, ({ outcome, isReturned }) => {
      if (!accepted) outcome.resolve('nacked');
      else outcome.resolve(isReturned ? 'unroutable' : 'confirmed');
    });
  }

  #returned({ messageId }: Returned): void {
    const sent = this.#sent.find(({ id, isReturned }) => !isReturned && id === messageId);
    if (sent) sent.isReturned = true;
  }

  #watchOldest(): void {
    if (this.#watch) return;
    const oldest = this.#oldest;
    this.#watch = this.#clock.setTimeout(() => {
      this.#watch = undefined;
      if (!this.isOpen || this.#sent.size === 0) return;
      // During an alarm, the server does not answer.
      if (oldest === this.#oldest && this.#link.blocked === undefined) void this.close();
      else this.#watchOldest();
    }, UNANSWERED_MS);
    this.#watch.unref();
  }

  get #oldest(): Sent | undefined {
    return this.#sent.find(() => true);
  }

  #ended(): void {
    if (this.#watch) this.#clock.clearTimeout(this.#watch);
    for (const { outcome } of this.#sent.drain()) outcome.resolve('lost');
    this.#closed.resolve();
  }
}

function onward(exchange: string, { routingKey, properties, content }: Delivery): OutgoingMessage {
  // `userId` must be the publishing user's own, and a delayed message must not expire.
  const { userId, expiration, headers, ...others } = properties;
  return {
    exchange,
    routingKey,
    mandatory: true,
    properties: { ...(others as MessageProperties), headers: transitHeaders(headers) },
    content,
  };
}

function idOf(properties: Delivery['properties']): unknown {
  return properties.messageId ?? headersOf(properties)[RETURN_ID_HEADER];
}
