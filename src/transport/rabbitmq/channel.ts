import type { Channel as AmqpChannel, ConfirmChannel, ConsumeMessage, Message, Options } from 'amqplib';
import {
  type BindingDeclaration,
  type Channel,
  type ChannelOptions,
  type ConsumeOptions,
  type Delivery,
  type ExchangeDeclaration,
  type MessageProperties,
  type OutgoingMessage,
  type QueueDeclaration,
  TransportError,
} from '../port.js';
import { toTransportError } from './failures.js';

/** How its link waits for answers. */
export interface Requests {
  ask<T>(answer: Promise<T>): Promise<T>;
  /** Waits as long as the answer to a `close` is worth it. */
  close(answer: Promise<unknown>): Promise<void>;
}

/** One channel of amqplib. */
export class RabbitChannel implements Channel {
  readonly #channel: AmqpChannel | ConfirmChannel;
  readonly #requests: Requests;
  #error: TransportError | undefined;
  #isOpen = true;

  constructor(channel: AmqpChannel | ConfirmChannel, options: ChannelOptions, requests: Requests) {
    this.#channel = channel;
    this.#requests = requests;
    channel.on('error', (error) => {
      this.#error ??= toTransportError(error);
    });
    channel.on('close', () => {
      this.#isOpen = false;
      const error = this.#error ?? new TransportError('the channel was closed');
      this.#error = error;
      // amqplib closes the channels of a lost connection before it tells of the loss: by then the link says so too.
      queueMicrotask(() => options.onClosed(error));
    });
    // With a listener here, amqplib does not close the connection over an error that a listener of ours throws.
    channel.on('handler-error', (error) => {
      this.#error ??= toTransportError(error);
      void this.close();
    });
    const { onConfirm, onReturn } = options;
    if (onConfirm) {
      channel.on('ack', ({ deliveryTag, multiple }) => onConfirm(deliveryTag, multiple, true));
      channel.on('nack', ({ deliveryTag, multiple }) => onConfirm(deliveryTag, multiple, false));
    }
    if (onReturn) channel.on('return', (message) => onReturn(toReturned(message)));
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  publish({ exchange, routingKey, content, properties, mandatory }: OutgoingMessage): void {
    // Without a callback amqplib keeps nothing per message; `ack` and `nack` events tell the outcome.
    this.#write(() => this.#channel.publish(exchange, routingKey, content, toOptions(properties, mandatory)));
  }

  ack(deliveryTag: number, multiple: boolean): void {
    this.#write(() => this.#channel.ack(byTag(deliveryTag), multiple));
  }

  nack(deliveryTag: number, { multiple, requeue }: { multiple: boolean; requeue: boolean }): void {
    this.#write(() => this.#channel.nack(byTag(deliveryTag), multiple, requeue));
  }

  reject(deliveryTag: number, { requeue }: { requeue: boolean }): void {
    this.#write(() => this.#channel.reject(byTag(deliveryTag), requeue));
  }

  async setPrefetch(count: number): Promise<void> {
    await this.#ask(() => this.#channel.prefetch(count, false));
  }

  async consume(
    queue: string,
    { noAck, exclusive, arguments: args }: ConsumeOptions,
    onDelivery: (delivery: Delivery | undefined) => void,
  ): Promise<string> {
    const { consumerTag } = await this.#ask(() =>
      this.#channel.consume(queue, (message) => onDelivery(message ? toDelivery(message) : undefined), {
        noAck,
        exclusive,
        arguments: args,
      }),
    );
    return consumerTag;
  }

  async cancel(consumerTag: string): Promise<void> {
    await this.#ask(() => this.#channel.cancel(consumerTag));
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

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      await this.#requests.close(this.#channel.close());
    } catch {
      // It was gone already, or the link is now.
    }
  }

  /** amqplib throws at once when a channel is gone, or a field can not be encoded. */
  #write(write: () => void): void {
    try {
      write();
    } catch (error) {
      // The channel or its connection is closed or closing; any other error is about the message.
      if ((error as Error).name === 'IllegalOperationError') this.#isOpen = false;
      throw this.#error ?? toTransportError(error);
    }
  }

  async #ask<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await this.#requests.ask(ask());
    } catch (error) {
      // The channel's own error has the server's words; the rejection often says only that the channel is closed.
      throw this.#error ?? toTransportError(error);
    }
  }
}

/** Property by property: a spread of objects of many shapes takes several times as long, and so does amqplib to read it. */
function toOptions(of: MessageProperties, mandatory: boolean): Options.Publish {
  const options: { [K in keyof MessageProperties]-?: MessageProperties[K] } & { mandatory: boolean } = {
    contentType: of.contentType,
    contentEncoding: of.contentEncoding,
    headers: of.headers,
    deliveryMode: of.deliveryMode,
    priority: of.priority,
    correlationId: of.correlationId,
    replyTo: of.replyTo,
    expiration: of.expiration,
    messageId: of.messageId,
    timestamp: of.timestamp,
    type: of.type,
    userId: of.userId,
    appId: of.appId,
    mandatory,
  };
  // Its declaration knows no property that is there and undefined.
  return options as Options.Publish;
}

/** What amqplib reads of a message to settle it. */
function byTag(deliveryTag: number): Message {
  return { fields: { deliveryTag } } as Message;
}

function toDelivery({ fields, properties, content }: ConsumeMessage): Delivery {
  const { deliveryTag, redelivered, exchange, routingKey } = fields;
  return {
    deliveryTag,
    redelivered,
    exchange,
    routingKey,
    properties: properties as Delivery['properties'],
    content,
  };
}

function toReturned({ fields, properties }: Message) {
  const { replyCode, replyText, exchange, routingKey } = fields as unknown as {
    replyCode: number;
    replyText: string;
    exchange: string;
    routingKey: string;
  };
  return { messageId: properties.messageId as unknown, exchange, routingKey, replyCode, replyText };
}
