import {
  type BindingDeclaration,
  type Channel,
  type ChannelOptions,
  type ConsumeOptions,
  type Delivery,
  type ExchangeDeclaration,
  type Link,
  type OutgoingMessage,
  type QueueDeclaration,
  TransportError,
} from '../../../src/transport/port.js';
import { deferred } from '../../../src/util/promises.js';

/** A link whose other end is the test. */
export class FakeLink implements Link {
  readonly address = 'fake://broker';
  serverVersion = '4.3.0';
  readonly channelMax = 2_047;
  readonly channels: FakeChannel[] = [];
  /** Every request that waits for an answer, in order: `declare queue emails`, `consume emails`. */
  readonly requests: string[] = [];
  readonly secrets: string[] = [];
  /** What each queue holds, as it says. */
  messages = 0;
  readonly #closed = deferred<Error>();
  readonly closed = this.#closed.promise;
  isOpen = true;
  blocked: string | undefined;
  onBlocked: ((reason: string | undefined) => void) | undefined;
  /** Answers a request: what it throws or rejects with refuses it, and closes the channel that asked. */
  onRequest: (request: string) => unknown = () => undefined;

  /** The channel that was opened last. */
  get channel(): FakeChannel {
    const channel = this.channels.at(-1);
    if (!channel) throw new Error('no channel was opened');
    return channel;
  }

  /** The channel for publishing that was opened last. */
  get publisher(): FakeChannel {
    const channel = this.channels.findLast(({ options }) => options.confirms);
    if (!channel) throw new Error('no channel for publishing was opened');
    return channel;
  }

  async openChannel(options: ChannelOptions): Promise<Channel> {
    await this.ask('open channel');
    const channel = new FakeChannel(this, options);
    this.channels.push(channel);
    return channel;
  }

  async updateSecret(secret: string): Promise<void> {
    await this.ask('update secret');
    this.secrets.push(secret);
  }

  async close(): Promise<void> {
    this.requests.push('close link');
    this.die(new Error('closed'));
  }

  destroy(reason: Error): void {
    this.die(reason);
  }

  /** The connection is lost. */
  die(reason: Error = new Error('the connection was lost')): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    for (const channel of this.channels) channel.die(new TransportError(reason.message));
    this.#closed.resolve(reason);
  }

  /** The server raises an alarm, or ends it. */
  block(reason: string | undefined): void {
    this.blocked = reason;
    this.onBlocked?.(reason);
  }

  async ask(request: string): Promise<void> {
    if (!this.isOpen) throw new TransportError('the connection is closed');
    this.requests.push(request);
    const lost = this.closed.then((reason) => {
      throw new TransportError(reason.message);
    });
    await Promise.race([this.onRequest(request), lost]);
  }
}

/** A channel that writes down what is asked of it. */
export class FakeChannel implements Channel {
  readonly link: FakeLink;
  readonly options: ChannelOptions;
  readonly published: OutgoingMessage[] = [];
  /** Every frame that settles deliveries: `ack 3`, `ack ..5`, `nack 6 requeue`, `reject 7`. */
  readonly settled: string[] = [];
  readonly declared: (QueueDeclaration | ExchangeDeclaration | BindingDeclaration)[] = [];
  consumeOptions: ConsumeOptions | undefined;
  isOpen = true;
  /** Called before each publish; what it throws, the publish throws. */
  onPublish: (message: OutgoingMessage) => void = () => undefined;
  readonly #closed = deferred<TransportError>();
  #onDelivery: ((delivery: Delivery | undefined) => void) | undefined;
  readonly #byQueue = new Map<string, (delivery: Delivery | undefined) => void>();
  #consumers = 0;

  constructor(link: FakeLink, options: ChannelOptions) {
    this.link = link;
    this.options = options;
  }

  /** The ids of what was published. */
  get ids(): (string | undefined)[] {
    return this.published.map(({ properties }) => properties.messageId);
  }

  publish(message: OutgoingMessage): void {
    this.#write();
    this.onPublish(message);
    this.published.push(message);
  }

  ack(deliveryTag: number, multiple: boolean): void {
    this.#write(`ack ${multiple ? '..' : ''}${deliveryTag}`);
  }

  nack(deliveryTag: number, { multiple, requeue }: { multiple: boolean; requeue: boolean }): void {
    this.#write(`nack ${multiple ? '..' : ''}${deliveryTag}${requeue ? ' requeue' : ''}`);
  }

  reject(deliveryTag: number, { requeue }: { requeue: boolean }): void {
    this.#write(`reject ${deliveryTag}${requeue ? ' requeue' : ''}`);
  }

  async setPrefetch(count: number): Promise<void> {
    await this.#ask(`prefetch ${count}`);
  }

  async consume(
    queue: string,
    options: ConsumeOptions,
    onDelivery: (delivery: Delivery | undefined) => void,
  ): Promise<string> {
    await this.#ask(`consume ${queue}`);
    this.consumeOptions = options;
    this.#onDelivery = onDelivery;
    this.#byQueue.set(queue, onDelivery);
    this.#consumers++;
    return `consumer-${this.#consumers}`;
  }

  async cancel(consumerTag: string): Promise<void> {
    await this.#ask(`cancel ${consumerTag}`);
    this.#onDelivery = undefined;
  }

  async declareQueue(queue: QueueDeclaration): Promise<void> {
    await this.#ask(`declare queue ${queue.name}`);
    this.declared.push(queue);
  }

  async checkQueue(name: string): Promise<{ messages: number; consumers: number }> {
    await this.#ask(`check queue ${name}`);
    return { messages: this.link.messages, consumers: 0 };
  }

  async declareExchange(exchange: ExchangeDeclaration): Promise<void> {
    await this.#ask(`declare exchange ${exchange.name}`);
    this.declared.push(exchange);
  }

  async checkExchange(name: string): Promise<void> {
    await this.#ask(`check exchange ${name}`);
  }

  async bind(binding: BindingDeclaration): Promise<void> {
    await this.#ask(`bind ${binding.destination.name} to ${binding.source}`);
    this.declared.push(binding);
  }

  async purgeQueue(name: string): Promise<number> {
    await this.#ask(`purge ${name}`);
    return 0;
  }

  async deleteQueue(name: string): Promise<void> {
    await this.#ask(`delete queue ${name}`);
  }

  async deleteExchange(name: string): Promise<void> {
    await this.#ask(`delete exchange ${name}`);
  }

  async close(): Promise<void> {
    if (!this.isOpen) return;
    this.link.requests.push('close channel');
    this.die(new TransportError('the channel was closed'));
  }

  /** The server confirms. */
  confirm(tag: number, { multiple = false } = {}): void {
    this.options.onConfirm?.(tag, multiple, true);
  }

  /** The server refuses to take it. */
  refuse(tag: number, { multiple = false } = {}): void {
    this.options.onConfirm?.(tag, multiple, false);
  }

  /** The server gives back what no queue took; its confirm is another frame. */
  giveBack(message: OutgoingMessage | undefined): void {
    if (!message) throw new Error('there is no such message');
    const { exchange, routingKey, properties } = message;
    const { messageId } = properties;
    this.options.onReturn?.({ messageId, exchange, routingKey, replyCode: 312, replyText: 'NO_ROUTE' });
  }

  /** @param queue - where it comes from; by default, the one that is consumed from since last */
  deliver(delivery: Delivery, queue?: string): void {
    const onDelivery = queue === undefined ? this.#onDelivery : this.#byQueue.get(queue);
    onDelivery?.(delivery);
  }

  /** The server cancels the consumer: its queue is gone. */
  cancelConsumer(): void {
    const onDelivery = this.#onDelivery;
    this.#onDelivery = undefined;
    onDelivery?.(undefined);
  }

  /** The channel is gone: the server closed it, or the connection is lost. */
  die(error: TransportError): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#closed.resolve(error);
    this.options.onClosed(error);
  }

  #write(frame?: string): void {
    if (!this.isOpen) throw new TransportError('the channel is closed');
    if (frame !== undefined) this.settled.push(frame);
  }

  async #ask(request: string): Promise<void> {
    if (!this.isOpen) throw new TransportError('the channel is closed');
    const closed = this.#closed.promise.then((error) => {
      throw error;
    });
    try {
      await Promise.race([this.link.ask(request), closed]);
    } catch (error) {
      this.die(error as TransportError);
      throw error;
    }
  }
}
