import type { ConnectionErrorCode } from '../errors.js';

/**
 * The small interface that everything above uses and every transport implements: one link (a connection that lives once), its
 * channels, and what travels over them. A link never reconnects: `connection/connection.ts` dials the next one.
 */

/**
 * A pseudo-queue: a message to its reply address arrives on the channel that consumes from it.
 * https://www.rabbitmq.com/docs/direct-reply-to
 */
export const REPLY_TO = 'amq.rabbitmq.reply-to';

/** True for an address that stands for a channel rather than a queue. */
export function isReplyAddress(address: string): boolean {
  return address.startsWith(`${REPLY_TO}.`);
}

/** Stands for a URL that was passed as undefined. Dialling it says so. */
export const UNDEFINED_URL = 'undefined';

/** The use of a connection. */
export type Role = 'publish' | 'consume';

/** Creates links. One per broker. */
export interface Transport {
  /** Every address that can be dialled, without secrets. */
  readonly addresses: readonly string[];
  /**
   * Opens one connection. Rejects with a `DialError`; when the signal aborts, everything in progress is destroyed and the
   * promise rejects.
   */
  dial(address: string, options: DialOptions): Promise<Link>;
}

export interface DialOptions {
  readonly role: Role;
  /** Requested before every attempt; undefined: the URL's own. */
  readonly credentials: Credentials | undefined;
  readonly signal: AbortSignal;
}

/** How the client authenticates. */
export type Credentials =
  | { readonly username: string; readonly password: string; readonly expiresAt?: Date | undefined }
  | { readonly mechanism: 'EXTERNAL'; readonly expiresAt?: Date | undefined };

/** One open connection. */
export interface Link {
  readonly address: string;
  /** The version of RabbitMQ that the server names, such as `4.3.1`. */
  readonly serverVersion: string;
  /** Resolves once, with the reason, when the link is gone, whichever side ended it. */
  readonly closed: Promise<Error>;
  readonly isOpen: boolean;
  /** The most channels that the link can have. */
  readonly channelMax: number;
  /** The reason of the server's resource alarm that stops publishing, while there is one. */
  readonly blocked: string | undefined;
  /** Called with the reason when a resource alarm stops publishing, and with undefined when the alarm is over. */
  onBlocked: ((reason: string | undefined) => void) | undefined;
  openChannel(options: ChannelOptions): Promise<Channel>;
  /** Gives the server a new password before the old one expires. */
  updateSecret(secret: string): Promise<void>;
  /** Closes with a handshake. Bounded in time; never rejects. */
  close(): Promise<void>;
  /** Drops the connection at once. */
  destroy(reason: Error): void;
}

export interface ChannelOptions {
  /** Requests publisher confirms. */
  readonly confirms: boolean;
  /** Called once when the channel is gone, also after `close`. */
  readonly onClosed: (error: TransportError) => void;
  readonly onConfirm?: (publishTag: number, multiple: boolean, accepted: boolean) => void;
  /** A mandatory message was returned; its confirm follows. */
  readonly onReturn?: (returned: Returned) => void;
}

/**
 * One open channel. Methods without a promise write at once and throw a `TransportError` when the channel is gone. Those with
 * a promise reject with a `TransportError` when the server refuses, when the channel or the link dies, or when no answer
 * arrives within the round-trip limit. After a missing answer the link is destroyed, because nothing on it can be trusted.
 * The limit does not run while an alarm blocks the link: the server reads nothing then, and answers when the alarm is over.
 */
export interface Channel {
  readonly isOpen: boolean;
  /** Publishes. Messages count from 1 on each channel: that count is the tag of `onConfirm`. */
  publish(message: OutgoingMessage): void;
  ack(deliveryTag: number, multiple: boolean): void;
  nack(deliveryTag: number, options: { multiple: boolean; requeue: boolean }): void;
  reject(deliveryTag: number, options: { requeue: boolean }): void;
  setPrefetch(count: number): Promise<void>;
  /** `onDelivery` is called with undefined when the server cancels the consumer. It must not throw. */
  consume(
    queue: string,
    options: ConsumeOptions,
    onDelivery: (delivery: Delivery | undefined) => void,
  ): Promise<string>;
  cancel(consumerTag: string): Promise<void>;
  declareQueue(queue: QueueDeclaration): Promise<void>;
  checkQueue(name: string): Promise<{ messages: number; consumers: number }>;
  declareExchange(exchange: ExchangeDeclaration): Promise<void>;
  checkExchange(name: string): Promise<void>;
  bind(binding: BindingDeclaration): Promise<void>;
  purgeQueue(name: string): Promise<number>;
  deleteQueue(name: string): Promise<void>;
  deleteExchange(name: string): Promise<void>;
  /** Closes the channel, without waiting for the answer of a blocked link. Bounded in time; never rejects. */
  close(): Promise<void>;
}

export interface ConsumeOptions {
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** A quorum queue, which may not have received the last settlements when the channel closes: closing makes sure of it. */
  readonly isReplicated?: boolean;
}

/** The AMQP 0-9-1 basic properties, except the deprecated `cluster-id`. */
export interface MessageProperties {
  contentType?: string | undefined;
  contentEncoding?: string | undefined;
  headers?: Readonly<Record<string, unknown>> | undefined;
  deliveryMode?: number | undefined;
  priority?: number | undefined;
  correlationId?: string | undefined;
  replyTo?: string | undefined;
  /** Milliseconds, as a decimal string. */
  expiration?: string | undefined;
  messageId?: string | undefined;
  /** Seconds since 1970. */
  timestamp?: number | undefined;
  type?: string | undefined;
  userId?: string | undefined;
  appId?: string | undefined;
}

export interface OutgoingMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly mandatory: boolean;
  readonly properties: MessageProperties;
  readonly content: Buffer;
}

export interface Delivery {
  readonly deliveryTag: number;
  readonly redelivered: boolean;
  readonly exchange: string;
  readonly routingKey: string;
  /** The properties as another client wrote them, whatever the types of their values. */
  readonly properties: Readonly<{ [K in keyof MessageProperties]?: unknown }>;
  readonly content: Buffer;
  /** Why the properties could not be read; they are empty then. */
  readonly problem?: string | undefined;
}

/** The header that identifies the copy of a message without an id when the copy is returned. */
export const RETURN_ID_HEADER = 'leveret-return-id';

export interface Returned {
  /** The id of the message, or its {@link RETURN_ID_HEADER}. */
  readonly messageId: unknown;
  readonly exchange: string;
  readonly routingKey: string;
  readonly replyCode: number;
  readonly replyText: string;
}

export interface QueueDeclaration {
  readonly name: string;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export interface ExchangeDeclaration {
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export interface BindingDeclaration {
  readonly destination: { readonly kind: 'queue' | 'exchange'; readonly name: string };
  readonly source: string;
  readonly routingKey: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** Why a channel or a link died, or a request was refused. Internal: users receive a `LeveretError` created from it. */
export class TransportError extends Error {
  /** The AMQP reply code, such as 404, when the server gave one. */
  readonly replyCode: number | undefined;
  /** The link has as many channels as it can have. */
  readonly isExhausted: boolean;

  constructor(
    message: string,
    options: { replyCode?: number | undefined; isExhausted?: boolean; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'TransportError';
    this.replyCode = options.replyCode;
    this.isExhausted = options.isExhausted ?? false;
  }
}

/** The refusal of a channel beyond the connection's limit. */
export function channelsExhausted(channelMax: number, cause?: unknown): TransportError {
  const hint = 'each consumer takes one, and each producer that has something to send';
  const message = `the connection has no channel left (the server's channel_max: ${channelMax}): ${hint}. Use fewer, or another broker for some of them`;
  return new TransportError(message, { isExhausted: true, cause });
}

/** Why one address could not be connected to. */
export class DialError extends Error {
  readonly code: ConnectionErrorCode;
  /** False when the address did not respond, so that trying again soon costs a server nothing. */
  readonly reachedServer: boolean;

  constructor(
    code: ConnectionErrorCode,
    message: string,
    options: { readonly reachedServer: boolean; readonly cause?: unknown },
  ) {
    super(message, { cause: options.cause });
    this.name = 'DialError';
    this.code = code;
    this.reachedServer = options.reachedServer;
  }
}
