import { ConfirmWindow } from '../../transport/confirm-window.js';
import {
  type Channel,
  type Delivery,
  type Link,
  type OutgoingMessage,
  REPLY_TO,
  type TransportError,
} from '../../transport/port.js';
import type { PendingRequest } from './pending-requests.js';

export interface RequestChannelEvents {
  readonly onReply: (delivery: Delivery) => void;
  /** No queue received the request. */
  readonly onReturned: (messageId: unknown, replyText: string) => void;
  /** The queue refused the request. */
  readonly onRejected: (request: PendingRequest) => void;
  readonly onClosed: (channel: RequestChannel, error: TransportError) => void;
}

/**
 * A channel that publishes requests and receives their answers. The server ties the reply address of each request to the
 * channel that consumes from `amq.rabbitmq.reply-to`: a later channel cannot receive the answer.
 */
export class RequestChannel {
  readonly openedAt: number;
  readonly #link: Link;
  readonly #confirms: boolean;
  #channel!: Channel;
  readonly #unconfirmed = new ConfirmWindow<PendingRequest>();

  private constructor(link: Link, openedAt: number, confirms: boolean) {
    this.#link = link;
    this.openedAt = openedAt;
    this.#confirms = confirms;
  }

  /** Opens a channel and consumes the replies. Rejects with a `TransportError`. */
  static async open(
    link: Link,
    { now, confirms }: { readonly now: number; readonly confirms: boolean },
    events: RequestChannelEvents,
  ): Promise<RequestChannel> {
    const self = new RequestChannel(link, now, confirms);
    const channel = await link.openChannel({
      confirms,
      onClosed: (error) => events.onClosed(self, error),
      onConfirm: (tag, multiple, accepted) =>
        self.#unconfirmed.take(tag, multiple, (request) => !accepted && events.onRejected(request)),
      onReturn: ({ messageId, replyText }) => events.onReturned(messageId, replyText),
    });
    self.#channel = channel;
    const options = { noAck: true, exclusive: false, arguments: {} };
    try {
      await channel.consume(REPLY_TO, options, (delivery) => {
        if (delivery) events.onReply(delivery);
        // No known event cancels this consumer; without it, no answer would ever arrive.
        else void channel.close();
      });
      return self;
    } catch (error) {
      await channel.close();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#channel.isOpen;
  }

  /** False while a resource alarm stops the server from reading. */
  get isWritable(): boolean {
    return this.#channel.isOpen && this.#link.blocked === undefined;
  }

  /** Publishes. Throws when the channel is gone, or the message cannot be encoded. */
  publish(message: OutgoingMessage, request: PendingRequest): void {
    this.#channel.publish(message);
    if (this.#confirms) this.#unconfirmed.push(request);
  }

  /** Closes the channel. Bounded in time; never rejects. */
  close(): Promise<void> {
    return this.#channel.close();
  }
}
