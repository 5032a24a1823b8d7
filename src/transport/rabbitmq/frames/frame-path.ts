import type { Channel as AmqpChannel, ConfirmChannel } from 'amqplib';
import { type ConsumeOptions, type Delivery, type OutgoingMessage, TransportError } from '../../port.js';
import type { MessagePath, MessagePathOptions } from '../message-path.js';
import type { ChannelFrames } from './own-frames.js';

type OnDelivery = (delivery: Delivery | undefined) => void;

/** Sends and receives messages in frames of our own. */
export class FramePath implements MessagePath {
  readonly #channel: AmqpChannel | ConfirmChannel;
  readonly #frames: ChannelFrames;
  readonly #onBroken: (error: unknown) => void;
  readonly #consumers = new Map<string, OnDelivery>();
  #consumersMade = 0;
  /** The consumer of the last delivery: the next delivery is mostly for the same one. */
  #lastTag = '';
  #lastConsumer: OnDelivery | undefined;

  constructor(
    channel: AmqpChannel | ConfirmChannel,
    frames: ChannelFrames,
    { onConfirm, onBroken }: MessagePathOptions,
  ) {
    this.#channel = channel;
    this.#frames = frames;
    this.#onBroken = onBroken;
    // With a listener here, amqplib does not close the connection over an error that one of our listeners throws.
    channel.on('handler-error', onBroken);
    frames.attach({
      onDelivery: (consumerTag, delivery) => this.#deliver(consumerTag, delivery),
      onConfirm:
        onConfirm &&
        ((publishTag, multiple, accepted) => {
          try {
            onConfirm(publishTag, multiple, accepted);
          } catch (error) {
            onBroken(error);
          }
        }),
    });
  }

  publish(message: OutgoingMessage): void {
    this.#frames.writer.publish(this.#frames.number, message);
  }

  ack(deliveryTag: number, multiple: boolean): void {
    this.#frames.writer.ack(this.#frames.number, deliveryTag, multiple);
  }

  nack(deliveryTag: number, multiple: boolean, requeue: boolean): void {
    this.#frames.writer.nack(this.#frames.number, deliveryTag, multiple, requeue);
  }

  reject(deliveryTag: number, requeue: boolean): void {
    this.#frames.writer.reject(this.#frames.number, deliveryTag, requeue);
  }

  async consume(
    queue: string,
    { noAck, exclusive, arguments: args }: ConsumeOptions,
    onDelivery: OnDelivery,
  ): Promise<string> {
    // The tag is chosen here, because the first delivery can come in the same packet as the answer with the server's tag.
    const consumerTag = `leveret-${++this.#consumersMade}`;
    this.#consumers.set(consumerTag, onDelivery);
    try {
      // amqplib calls back when the server cancels; deliveries do not reach it.
      const onCancel = () => {
        this.#forget(consumerTag);
        onDelivery(undefined);
      };
      await this.#channel.consume(queue, onCancel, { consumerTag, noAck, exclusive, arguments: args });
      return consumerTag;
    } catch (error) {
      this.#forget(consumerTag);
      throw error;
    }
  }

  async cancel(consumerTag: string): Promise<void> {
    await this.#channel.cancel(consumerTag);
    this.#forget(consumerTag);
  }

  flush(): void {
    this.#frames.flush();
  }

  release(): void {
    this.#frames.release();
  }

  #deliver(consumerTag: string, delivery: Delivery): void {
    try {
      if (consumerTag !== this.#lastTag || !this.#lastConsumer) {
        this.#lastTag = consumerTag;
        this.#lastConsumer = this.#consumers.get(consumerTag);
      }
      if (!this.#lastConsumer)
        throw new TransportError(`a delivery came for the unknown consumer '${consumerTag}'`);
      this.#lastConsumer(delivery);
    } catch (error) {
      this.#onBroken(error);
    }
  }

  #forget(consumerTag: string): void {
    this.#consumers.delete(consumerTag);
    this.#lastConsumer = undefined;
  }
}
