import { transitHeaders } from '../messages/headers.js';
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
import { type Deferred, deferred } from '../util/promises.js';

/** What became of a message that was sent on. `lost`: the channel is gone, and the answer with it. */
export type Arrival = 'taken' | 'refused' | 'nowhere' | 'lost';

interface Sent {
  readonly id: unknown;
  readonly arrival: Deferred<Arrival>;
  isReturned: boolean;
}

/** A channel over which landed messages come and go on. They are acknowledged when they have arrived, so that none is lost. */
export class LandingChannel {
  /** Resolves when the channel is gone. */
  readonly closed: Promise<void>;
  readonly #closed = deferred<void>();
  readonly #sent = new Map<number, Sent>();
  #channel!: Channel;
  #tag = 0;
  /** One command at a time: a prefetch is for the consumers that begin after it. */
  #last: Promise<unknown> = Promise.resolve();
  #underWay: Deferred<void> | undefined;

  private constructor() {
    this.closed = this.#closed.promise;
  }

  /** Rejects with a `TransportError`. */
  static async open(link: Link): Promise<LandingChannel> {
    const opened = new LandingChannel();
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
   * Consumes from a queue. The channel is closed when the server ends that. Rejects with a `TransportError`.
   *
   * @param prefetch - how many messages may be under way at once
   */
  consume(queue: string, prefetch: number, onDelivery: (delivery: Delivery) => void): Promise<string> {
    const consuming = this.#last.then(async () => {
      await this.#channel.setPrefetch(prefetch);
      const options = { noAck: false, exclusive: false, arguments: {}, isReplicated: true };
      return this.#channel.consume(queue, options, (delivery) => {
        if (delivery) onDelivery(delivery);
        else void this.close();
      });
    });
    this.#last = consuming.catch(() => {});
    return consuming;
  }

  async cancel(consumerTag: string): Promise<void> {
    if (this.isOpen) await this.#channel.cancel(consumerTag);
  }

  /** Sends a message on, through an exchange, as it came. Never rejects. */
  send(exchange: string, delivery: Delivery): Promise<Arrival> {
    if (!this.isOpen) return Promise.resolve('lost');
    const sent: Sent = { id: idOf(delivery.properties), arrival: deferred(), isReturned: false };
    try {
      this.#channel.publish(onward(exchange, delivery));
    } catch {
      // It holds what can be read and not be written, or the channel is gone.
      return Promise.resolve(this.isOpen ? 'nowhere' : 'lost');
    }
    this.#sent.set(++this.#tag, sent);
    return sent.arrival.promise;
  }

  /** It has arrived. */
  ack({ deliveryTag }: Delivery): void {
    this.#settle(() => this.#channel.ack(deliveryTag, false));
  }

  /** Leaves it to the server. */
  giveBack({ deliveryTag }: Delivery): void {
    this.#settle(() => this.#channel.nack(deliveryTag, { multiple: false, requeue: true }));
  }

  /** Resolves when the server has answered for all that was sent on. */
  drained(): Promise<void> {
    if (this.#sent.size === 0 || !this.isOpen) return Promise.resolve();
    this.#underWay ??= deferred();
    return this.#underWay.promise;
  }

  /** Closes the channel: the server puts back what has not arrived. Never rejects. */
  close(): Promise<void> {
    return this.#channel.close();
  }

  #settle(settle: () => void): void {
    if (!this.isOpen) return;
    try {
      settle();
    } catch (error) {
      // The channel is gone: its messages come again.
      if (!(error instanceof TransportError)) throw error;
    }
  }

  #confirmed(tag: number, multiple: boolean, accepted: boolean): void {
    if (!multiple) this.#answered(tag, accepted);
    else for (const earlier of this.#sent.keys()) if (earlier <= tag) this.#answered(earlier, accepted);
  }

  #answered(tag: number, accepted: boolean): void {
    const sent = this.#sent.get(tag);
    if (!sent) return;
    this.#sent.delete(tag);
    if (!accepted) sent.arrival.resolve('refused');
    else sent.arrival.resolve(sent.isReturned ? 'nowhere' : 'taken');
    if (this.#sent.size === 0) this.#allAnswered();
  }

  #returned({ messageId }: Returned): void {
    for (const sent of this.#sent.values()) {
      if (sent.isReturned || sent.id !== messageId) continue;
      sent.isReturned = true;
      return;
    }
  }

  #ended(): void {
    for (const { arrival } of this.#sent.values()) arrival.resolve('lost');
    this.#sent.clear();
    this.#allAnswered();
    this.#closed.resolve();
  }

  #allAnswered(): void {
    this.#underWay?.resolve();
    this.#underWay = undefined;
  }
}

function onward(exchange: string, { routingKey, properties, content }: Delivery): OutgoingMessage {
  // The user id is another one's, and a delayed message has no time of its own.
  const { userId, expiration, headers, ...others } = properties;
  return {
    exchange,
    routingKey,
    mandatory: true,
    properties: { ...(others as MessageProperties), headers: transitHeaders(headers) },
    content,
  };
}

function idOf({ messageId, headers }: Delivery['properties']): unknown {
  return messageId ?? (headers as Readonly<Record<string, unknown>> | undefined)?.[RETURN_ID_HEADER];
}
