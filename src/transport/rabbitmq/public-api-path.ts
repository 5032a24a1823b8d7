import type { Channel as AmqpChannel, ConfirmChannel, ConsumeMessage, Message, Options } from 'amqplib';
import type { ConsumeOptions, Delivery, MessageProperties, OutgoingMessage } from '../port.js';
import type { MessagePath, MessagePathOptions } from './message-path.js';

/** Messages by amqplib's public API: where own frames cannot be. */
export class PublicApiPath implements MessagePath {
  readonly #channel: AmqpChannel | ConfirmChannel;

  constructor(channel: AmqpChannel | ConfirmChannel, { onConfirm, onBroken }: MessagePathOptions) {
    this.#channel = channel;
    // With a listener here, amqplib does not close the connection over an error that a listener of ours throws.
    channel.on('handler-error', onBroken);
    if (!onConfirm) return;
    channel.on('ack', ({ deliveryTag, multiple }) => onConfirm(deliveryTag, multiple, true));
    channel.on('nack', ({ deliveryTag, multiple }) => onConfirm(deliveryTag, multiple, false));
  }

  publish({ exchange, routingKey, content, properties, mandatory }: OutgoingMessage): void {
    // Without a callback amqplib keeps nothing per message; `ack` and `nack` events tell the outcome.
    this.#channel.publish(exchange, routingKey, content, toOptions(properties, mandatory));
  }

  ack(deliveryTag: number, multiple: boolean): void {
    this.#channel.ack(byTag(deliveryTag), multiple);
  }

  nack(deliveryTag: number, multiple: boolean, requeue: boolean): void {
    this.#channel.nack(byTag(deliveryTag), multiple, requeue);
  }

  reject(deliveryTag: number, requeue: boolean): void {
    this.#channel.reject(byTag(deliveryTag), requeue);
  }

  async consume(
    queue: string,
    { noAck, exclusive, arguments: args }: ConsumeOptions,
    onDelivery: (delivery: Delivery | undefined) => void,
  ): Promise<string> {
    const { consumerTag } = await this.#channel.consume(
      queue,
      (message) => onDelivery(message ? toDelivery(message) : undefined),
      { noAck, exclusive, arguments: args },
    );
    return consumerTag;
  }

  cancel(consumerTag: string): Promise<unknown> {
    return this.#channel.cancel(consumerTag);
  }

  flush(): void {}

  release(): void {}
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
