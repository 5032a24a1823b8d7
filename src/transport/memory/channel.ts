import {
  type BindingDeclaration,
  type Channel,
  type ChannelOptions,
  type ConsumeOptions,
  type Delivery,
  type ExchangeDeclaration,
  type OutgoingMessage,
  type QueueDeclaration,
  REPLY_TO,
  RETURN_ID_HEADER,
  TransportError,
} from '../port.js';
import { type ChannelConsumer, ChannelConsumers, type Unacked } from './channel-consumers.js';
import type { StoredMessage } from './message.js';
import type { MemoryServer, ServerLink } from './server.js';
import { ServerRefusalError } from './server-refusal.js';

/** The part of its link that a channel uses. */
export interface ChannelLink extends ServerLink {
  readonly isOpen: boolean;
  readonly server: MemoryServer;
  /** True while an alarm delays the answers. */
  readonly isHeld: boolean;
  /** Sends a command that has no answer. */
  command(command: () => void): void;
  /** Sends a message. An alarm delays it. */
  publishCommand(command: () => void): void;
  /** Sends a request, and waits for its answer. */
  request<T>(ask: () => T): Promise<T>;
  /** Delivers an event to the client, after those on their way to it. */
  arrive(event: () => void): void;
  destroy(reason: Error): void;
  /** The channel is closed at both ends. */
  forget(channel: MemoryChannel): void;
}

/** One channel of an embedded server: both its ends. */
export class MemoryChannel implements Channel {
  readonly #link: ChannelLink;
  readonly #options: ChannelOptions;
  readonly #consumers: ChannelConsumers;
  /** The client's end: false as soon as the client closes the channel, or learns that it is closed. */
  #isOpen = true;
  /** The server's end: once it is false, the server ignores further commands. */
  #isServed = true;
  #error: TransportError | undefined;
  #closeReported = false;
  #published = 0;
  /** The last confirm, until the client receives it: it can still grow to cover further messages. */
  #growing: { tag: number; multiple: boolean; readonly messages: StoredMessage[] } | undefined;

  constructor(link: ChannelLink, options: ChannelOptions) {
    this.#link = link;
    this.#options = options;
    this.#consumers = new ChannelConsumers(link.server, link, (consumer, unacked) =>
      this.#deliver(consumer, unacked),
    );
  }

  get isOpen(): boolean {
    return this.#isOpen && this.#link.isOpen;
  }

  publish(message: OutgoingMessage): void {
    this.#checkOpen();
    this.#link.publishCommand(() => this.#serve(() => this.#publish(message)));
  }

  ack(deliveryTag: number, multiple: boolean): void {
    this.#settle((consumers) => consumers.ack(deliveryTag, multiple));
  }

  nack(deliveryTag: number, { multiple, requeue }: { multiple: boolean; requeue: boolean }): void {
    this.#settle((consumers) =>
      requeue
        ? consumers.requeue(deliveryTag, multiple, 'nack')
        : consumers.reject(deliveryTag, multiple, 'nack'),
    );
  }

  reject(deliveryTag: number, { requeue }: { requeue: boolean }): void {
    this.#settle((consumers) =>
      requeue
        ? consumers.requeue(deliveryTag, false, 'reject')
        : consumers.reject(deliveryTag, false, 'reject'),
    );
  }

  async setPrefetch(count: number): Promise<void> {
    await this.#ask(() => {
      this.#consumers.prefetch = count;
    });
  }

  consume(
    queue: string,
    options: ConsumeOptions,
    onDelivery: (delivery: Delivery | undefined) => void,
  ): Promise<string> {
    const arrived = (delivery: Delivery | undefined) => this.#isOpen && onDelivery(delivery);
    // The answer comes before the first delivery.
    let begin = () => {};
    return this.#ask(
      () => {
        const { tag, start } = this.#consumers.consume(queue, options, arrived, (event) =>
          this.#link.arrive(event),
        );
        begin = start;
        return tag;
      },
      () => begin(),
    );
  }

  async cancel(consumerTag: string): Promise<void> {
    await this.#ask(() => this.#consumers.cancel(consumerTag));
  }

  async declareQueue(queue: QueueDeclaration): Promise<void> {
    await this.#ask(() => this.#link.server.declareQueue(queue, this.#link));
  }

  checkQueue(name: string): Promise<{ messages: number; consumers: number }> {
    return this.#ask(() => {
      if (name === REPLY_TO) return { messages: 0, consumers: 1 };
      const queue = this.#link.server.queue(name, this.#link);
      queue.used();
      return { messages: queue.readyCount, consumers: queue.consumerCount };
    });
  }

  async declareExchange(exchange: ExchangeDeclaration): Promise<void> {
    await this.#ask(() => this.#link.server.exchanges.declare(exchange));
  }

  async checkExchange(name: string): Promise<void> {
    await this.#ask(() => this.#link.server.exchanges.check(name));
  }

  async bind(binding: BindingDeclaration): Promise<void> {
    await this.#ask(() => this.#link.server.bind(binding, this.#link));
  }

  purgeQueue(name: string): Promise<number> {
    return this.#ask(() => this.#link.server.queue(name, this.#link).purge());
  }

  async deleteQueue(name: string): Promise<void> {
    await this.#ask(() => this.#link.server.deleteQueue(name, this.#link));
  }

  async deleteExchange(name: string): Promise<void> {
    await this.#ask(() => this.#link.server.exchanges.delete(name));
  }

  async close(): Promise<void> {
    if (!this.isOpen) return;
    this.#isOpen = false;
    try {
      const closed = this.#link.request(() => this.#stopServing());
      if (this.#link.isHeld) closed.catch(() => {});
      else await closed;
    } catch {
      // The link is gone, and the channel with it.
    }
    this.closedByServer(new TransportError('the channel was closed'));
  }

  /** The link is gone: the server requeues unacknowledged messages. */
  linkClosed(): void {
    this.#stopServing();
  }

  /** The client learns that the channel is closed. */
  closedByServer(error: TransportError): void {
    this.#isOpen = false;
    this.#error ??= error;
    this.#link.forget(this);
    if (this.#closeReported) return;
    this.#closeReported = true;
    this.#options.onClosed(this.#error);
  }

  #publish(message: OutgoingMessage): void {
    const { server } = this.#link;
    const tag = ++this.#published;
    const { exchange, routingKey, mandatory, properties } = message;
    checkExpiration(properties.expiration);
    const {
      wasRouted,
      wasAccepted,
      message: stored,
    } = server.publish(message, this.#replyTo(properties.replyTo), this.#link);
    if (!wasRouted && mandatory) {
      const { onReturn } = this.#options;
      const returned = {
        messageId: properties.messageId ?? properties.headers?.[RETURN_ID_HEADER],
        exchange,
        routingKey,
        replyCode: 312,
        replyText: 'NO_ROUTE',
      };
      this.#growing = undefined;
      if (onReturn) this.#arriveHere(() => onReturn(returned));
    }
    if (this.#options.confirms) this.#confirm(tag, wasAccepted, stored);
  }

  /** Many confirms in a row become one, as on a busy server. */
  #confirm(tag: number, accepted: boolean, message: StoredMessage): void {
    const { onConfirm } = this.#options;
    if (!onConfirm) return;
    if (accepted && this.#growing) {
      this.#growing.tag = tag;
      this.#growing.multiple = true;
      this.#growing.messages.push(message);
      return;
    }
    const confirm = { tag, multiple: false, messages: [message] };
    this.#growing = accepted ? confirm : undefined;
    this.#arriveHere(() => {
      if (this.#growing === confirm) this.#growing = undefined;
      onConfirm(confirm.tag, confirm.multiple, accepted);
      const { observer } = this.#link.server;
      if (observer?.onConfirmed) for (const each of confirm.messages) observer.onConfirmed(each);
    });
  }

  #replyTo(given: string | undefined): string | undefined {
    if (given !== REPLY_TO) return undefined;
    const address = this.#consumers.replyAddress;
    if (address === undefined) throw new ServerRefusalError(406, 'fast reply consumer does not exist');
    return address;
  }

  #deliver(consumer: ChannelConsumer, { tag, message, redelivered, headers }: Unacked): void {
    const { exchange, routingKey, properties, content } = message;
    // A confirm that grew now would arrive before this delivery.
    this.#growing = undefined;
    this.#link.arrive(() => {
      if (!this.#isOpen) return;
      consumer.onDelivery({
        deliveryTag: tag,
        redelivered,
        exchange,
        routingKey,
        properties: { ...properties, headers },
        content: Buffer.from(content),
      });
    });
  }

  #arriveHere(event: () => void): void {
    this.#link.arrive(() => {
      if (this.#isOpen) event();
    });
  }

  #settle(settle: (consumers: ChannelConsumers) => void): void {
    this.#checkOpen();
    this.#link.command(() => this.#serve(() => settle(this.#consumers)));
  }

  /** Sends a request. A refusal closes the channel, and rejects the promise. */
  async #ask<T>(ask: () => T, then?: () => void): Promise<T> {
    if (!this.isOpen) throw this.#error ?? new TransportError('the channel is closed');
    const result = this.#link.request(() => {
      if (!this.#isServed) throw this.#error ?? new TransportError('the channel is closed');
      try {
        return ask();
      } catch (error) {
        throw this.#refuse(error);
      }
    });
    if (then) this.#link.command(() => this.#serve(then));
    return result;
  }

  #serve(work: () => void): void {
    if (!this.#isServed) return;
    try {
      work();
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** The server refuses a command: it closes the channel, or the whole link. */
  #refuse(refusal: unknown): TransportError {
    if (!(refusal instanceof ServerRefusalError)) throw refusal;
    const error = refusal.toTransportError();
    this.#stopServing();
    if (refusal.closesLink) this.#link.arrive(() => this.#link.destroy(error));
    else this.#link.arrive(() => this.closedByServer(error));
    return error;
  }

  #stopServing(): void {
    if (!this.#isServed) return;
    this.#isServed = false;
    this.#consumers.close();
  }

  #checkOpen(): void {
    if (!this.isOpen) throw this.#error ?? new TransportError('the channel is closed');
  }
}

function checkExpiration(expiration: string | undefined): void {
  if (expiration === undefined) return;
  const value = /^-?\d+$/.test(expiration) ? Number(expiration) : undefined;
  if (value === undefined)
    throw new ServerRefusalError(406, `invalid expiration '${expiration}': no_integer`);
  if (value < 0)
    throw new ServerRefusalError(406, `invalid expiration '${expiration}': {value_negative,${value}}`);
}
