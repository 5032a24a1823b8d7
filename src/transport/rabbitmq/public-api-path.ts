import type { Channel as AmqpChannel, ConfirmChannel, ConsumeMessage, Message, Options } from 'amqplib';
import type { ConsumeOptions, Delivery, MessageProperties, OutgoingMessage } from '../port.js';
import type { MessagePath, MessagePathOptions } from './message-path.js';

/** Sends and receives messages through amqplib's public API, where own frames cannot be used. */
export class PublicApiPath implements MessagePath {
  readonly #channel: AmqpChannel | ConfirmChannel;

  constructor(channel: AmqpChannel | ConfirmChannel, { onConfirm, onBroken }: MessagePathOptions) {
    this.#channel = channel;
    // With a listener here, amqplib does not close the connection over an error that one of our listeners throws.
    channel.on('handler-error', onBroken);
    if (!onConfirm) return;
    channel.on('ack', ({ deliveryTag, multiple }) => onConfirm(deliveryTag, multiple, true));
    channel.on('nack', ({ deliveryTag, multiple }) => onConfirm(deliveryTag, multiple, false));
  }

  publish({ exchange, routingKey, content, properties, mandatory }: OutgoingMessage): void {
    // Without a callback amqplib keeps nothing per message; `ack` and `nack` events tell the outcome.
    publish(this.#channel, exchange, routingKey, content, toOptions(properties, mandatory));
  }

  ack(deliveryTag: number, multiple: boolean): void {
    own(this.#channel.ack).call(this.#channel, byTag(deliveryTag), multiple);
  }

  nack(deliveryTag: number, multiple: boolean, requeue: boolean): void {
    own(this.#channel.nack).call(this.#channel, byTag(deliveryTag), multiple, requeue);
  }

  reject(deliveryTag: number, requeue: boolean): void {
    own(this.#channel.reject).call(this.#channel, byTag(deliveryTag), requeue);
  }

  async consume(
    queue: string,
    { noAck, exclusive, arguments: args }: ConsumeOptions,
    onDelivery: (delivery: Delivery | undefined) => void,
  ): Promise<string> {
    const { consumerTag } = await own(this.#channel.consume).call(
      this.#channel,
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

/**
 * amqplib's own function, where OpenTelemetry's instrumentation of amqplib has wrapped it: the wrapper would create a second
 * span of each message, and keep those of consumed messages in memory for a minute.
 */
function own<F>(wrapped: F): F {
  let unwrapped: unknown = wrapped;
  while (typeof (unwrapped as Wrapper | undefined)?.__original === 'function') {
    unwrapped = (unwrapped as Wrapper).__original;
  }
  return unwrapped as F;
}

interface Wrapper {
  readonly __original?: unknown;
}

/** Publishes as amqplib's channels do, without a wrapper around it: a confirm channel's `publish` calls the plain one. */
function publish(channel: AmqpChannel | ConfirmChannel, ...args: Parameters<AmqpChannel['publish']>): void {
  const base: object = Object.getPrototypeOf(channel) as object;
  const plain: object = 'waitForConfirms' in channel ? (Object.getPrototypeOf(base) as object) : base;
  own((plain as AmqpChannel).publish).apply(channel, args);
  if ('waitForConfirms' in channel) (channel as unknown as ConfirmCounter).pushConfirmCallback();
}

/** Missing in amqplib's type declarations: its count of unconfirmed messages. */
interface ConfirmCounter {
  pushConfirmCallback(callback?: () => void): void;
}

/**
 * Property by property: spreading objects of many shapes takes several times as long, and so does amqplib's reading of them.
 */
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
  // amqplib's declaration does not allow a property that is present and undefined.
  return options as Options.Publish;
}

/** The part of a message that amqplib reads to settle it. */
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
