import type { ConsumeOptions, Delivery, OutgoingMessage } from '../port.js';

/** The path of messages over one channel of amqplib: frames of our own, or amqplib's public API. */
export interface MessagePath {
  /**
   * Throws what amqplib throws on a channel that is closing or gone, and for messages that cannot be encoded. So do the next
   * three methods.
   */
  publish(message: OutgoingMessage): void;
  ack(deliveryTag: number, multiple: boolean): void;
  nack(deliveryTag: number, multiple: boolean, requeue: boolean): void;
  reject(deliveryTag: number, requeue: boolean): void;
  /** Resolves with the consumer tag. `onDelivery` is called with undefined when the server cancels the consumer. */
  consume(
    queue: string,
    options: ConsumeOptions,
    onDelivery: (delivery: Delivery | undefined) => void,
  ): Promise<string>;
  cancel(consumerTag: string): Promise<unknown>;
  /** Sends the gathered frames, before amqplib sends anything else on this channel. */
  flush(): void;
  /** The channel is closing, or gone. */
  release(): void;
}

export interface MessagePathOptions {
  readonly onConfirm?: ((publishTag: number, multiple: boolean, accepted: boolean) => void) | undefined;
  /** A callback threw that must not, or a delivery arrived for an unknown consumer: the channel cannot continue. */
  readonly onBroken: (error: unknown) => void;
}
