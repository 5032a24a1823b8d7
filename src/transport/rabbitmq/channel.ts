import type { Channel as AmqpChannel, ConfirmChannel, Message } from 'amqplib';
import { realTimers } from '../../util/timers.js';
import {
  type BindingDeclaration,
  type Channel,
  type ChannelOptions,
  type ConsumeOptions,
  type Delivery,
  type ExchangeDeclaration,
  type OutgoingMessage,
  type QueueDeclaration,
  RETURN_ID_HEADER,
  TransportError,
} from '../port.js';
import { toTransportError } from './amqplib-errors.js';
import type { MessagePath, MessagePathOptions } from './message-path.js';
import { SettlementProof } from './settlement-proof.js';

/** The link's way to wait for answers. */
export interface Requests {
  ask<T>(answer: Promise<T>): Promise<T>;
  /** Waits for the answer to a `close`, unless an alarm delays it. */
  close(answer: Promise<unknown>): Promise<void>;
}

/** A channel of amqplib. */
export class RabbitChannel implements Channel {
  readonly #channel: AmqpChannel | ConfirmChannel;
  readonly #requests: Requests;
  readonly #path: MessagePath;
  readonly #proof = new SettlementProof();
  #error: TransportError | undefined;
  #isOpen = true;
  #closing: Promise<void> | undefined;

  /** @param makePath - creates the path of the channel's messages */
  constructor(
    channel: AmqpChannel | ConfirmChannel,
    options: ChannelOptions,
    requests: Requests,
    makePath: (options: MessagePathOptions) => MessagePath,
  ) {
    this.#channel = channel;
    this.#requests = requests;
    this.#path = makePath({
      onConfirm: options.onConfirm,
      onBroken: (error) => {
        this.#error ??= toTransportError(error);
        void this.close();
      },
    });
    channel.on('error', (error) => {
      this.#error ??= toTransportError(error);
    });
    channel.on('close', () => {
      this.#isOpen = false;
      this.#path.release();
      const error = this.#error ?? new TransportError('the channel was closed');
      this.#error = error;
      // amqplib closes the channels of a lost connection before it reports the loss. In the next microtask the link reports
      // it, too.
      realTimers.queueMicrotask(() => options.onClosed(error));
    });
    const { onReturn } = options;
    if (onReturn) channel.on('return', (message) => onReturn(toReturned(message)));
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  publish(message: OutgoingMessage): void {
    try {
      this.#path.publish(message);
    } catch (error) {
      throw this.#writeFailed(error);
    }
  }

  ack(deliveryTag: number, multiple: boolean): void {
    try {
      this.#path.ack(deliveryTag, multiple);
      this.#proof.settled();
    } catch (error) {
      throw this.#writeFailed(error);
    }
  }

  nack(deliveryTag: number, { multiple, requeue }: { multiple: boolean; requeue: boolean }): void {
    try {
      this.#path.nack(deliveryTag, multiple, requeue);
      this.#proof.settled();
    } catch (error) {
      throw this.#writeFailed(error);
    }
  }

  reject(deliveryTag: number, { requeue }: { requeue: boolean }): void {
    try {
      this.#path.reject(deliveryTag, requeue);
      this.#proof.settled();
    } catch (error) {
      throw this.#writeFailed(error);
    }
  }

  async setPrefetch(count: number): Promise<void> {
    await this.#ask(() => this.#channel.prefetch(count, false));
    this.#proof.prefetched(count);
  }

  async consume(
    queue: string,
    options: ConsumeOptions,
    onDelivery: (delivery: Delivery | undefined) => void,
  ): Promise<string> {
    if (options.isReplicated) this.#proof.consumes(queue);
    return this.#ask(() => this.#path.consume(queue, options, onDelivery));
  }

  async cancel(consumerTag: string): Promise<void> {
    await this.#ask(() => this.#path.cancel(consumerTag));
    this.#proof.answered();
  }

  async declareQueue({ name, ...options }: QueueDeclaration): Promise<void> {
    await this.#ask(() => this.#channel.assertQueue(name, options));
  }

  async checkQueue(name: string): Promise<{ messages: number; consumers: number }> {
    const { messageCount, consumerCount } = await this.#ask(() => this.#channel.checkQueue(name));
    return { messages: messageCount, consumers: consumerCount };
  }

  async declareExchange({ name, type, ...options }: ExchangeDeclaration): Promise<void> {
    await this.#ask(() => this.#channel.assertExchange(name, type, options));
  }

  async checkExchange(name: string): Promise<void> {
    await this.#ask(() => this.#channel.checkExchange(name));
  }

  async bind({ destination, source, routingKey, arguments: args }: BindingDeclaration): Promise<void> {
    await this.#ask(() =>
      destination.kind === 'queue'
        ? this.#channel.bindQueue(destination.name, source, routingKey, args)
        : this.#channel.bindExchange(destination.name, source, routingKey, args),
    );
  }

  async purgeQueue(name: string): Promise<number> {
    const { messageCount } = await this.#ask(() => this.#channel.purgeQueue(name));
    return messageCount;
  }

  async deleteQueue(name: string): Promise<void> {
    await this.#ask(() => this.#channel.deleteQueue(name));
  }

  async deleteExchange(name: string): Promise<void> {
    await this.#ask(() => this.#channel.deleteExchange(name));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const queue = this.#isOpen ? this.#proof.missingFrom : undefined;
    if (queue !== undefined) await this.#prove(queue);
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#path.release();
    try {
      await this.#requests.close(this.#channel.close());
    } catch {
      // The channel was gone already, or the link is now.
    }
  }

  /** Waits until the queue has received every settlement. A message that arrives with its answer is requeued uncounted. */
  async #prove(queue: string): Promise<void> {
    try {
      const message = await this.#ask(() => this.#channel.get(queue, { noAck: false }));
      if (message) this.#path.nack(message.fields.deliveryTag, false, true);
    } catch {
      // The channel is gone, and the server redelivers whatever was still in it.
    }
  }

  /** The channel is closing or gone, or a message cannot be encoded. */
  #writeFailed(error: unknown): TransportError {
    if ((error as Error).name === 'IllegalOperationError') this.#isOpen = false;
    return this.#error ?? toTransportError(error);
  }

  async #ask<T>(ask: () => Promise<T>): Promise<T> {
    try {
      this.#path.flush();
      return await this.#requests.ask(ask());
    } catch (error) {
      // The channel's own error has the server's words; the rejection often says only that the channel is closed.
      throw this.#error ?? toTransportError(error);
    }
  }
}

function toReturned({ fields, properties }: Message) {
  const { replyCode, replyText, exchange, routingKey } = fields as unknown as {
    replyCode: number;
    replyText: string;
    exchange: string;
    routingKey: string;
  };
  const messageId: unknown = properties.messageId ?? properties.headers?.[RETURN_ID_HEADER];
  return { messageId, exchange, routingKey, replyCode, replyText };
}
