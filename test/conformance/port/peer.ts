import { resolveBrokerOptions } from '../../../src/broker/options.js';
import { makeTransport } from '../../../src/transport/make-transport.js';
import type {
  Channel,
  ConsumeOptions,
  Delivery,
  Link,
  MessageProperties,
  Returned,
  TransportError,
} from '../../../src/transport/port.js';
import { systemClock } from '../../../src/util/clock.js';
import { Condition } from '../../../src/util/condition.js';
import type { Target } from '../targets.js';

/** A client that speaks to a target through the transport's port alone, and closes what it opened. */
export class Peer implements AsyncDisposable {
  readonly #target: Target;
  readonly #links: Link[] = [];

  constructor(target: Target) {
    this.#target = target;
  }

  async link(): Promise<Link> {
    const transport = makeTransport([this.#target.url], resolveBrokerOptions(), systemClock);
    const [address = ''] = transport.addresses;
    const { signal } = new AbortController();
    const link = await transport.dial(address, { role: 'publish', credentials: undefined, signal });
    this.#links.push(link);
    return link;
  }

  /** A channel with confirms, on this link or one of its own. */
  async channel(link?: Link): Promise<Probe> {
    const probe = new Probe();
    probe.channel = await (link ?? (await this.link())).openChannel({
      confirms: true,
      onClosed: (error) => probe.closed(error),
      onConfirm: (tag, multiple, accepted) => probe.confirmed(tag, multiple, accepted),
      onReturn: (returned) => probe.returns.push(returned),
    });
    return probe;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#links.map((link) => link.close()));
  }
}

export interface Received extends Delivery {
  readonly text: string;
}

/** One channel, and everything that came over it. */
export class Probe {
  channel!: Channel;
  readonly returns: Returned[] = [];
  readonly outcomes = new Map<number, boolean>();
  error: TransportError | undefined;
  #published = 0;
  #settled = 0;
  /** Something has come over the channel, or the channel is gone. */
  readonly #news = new Condition();

  closed(error: TransportError): void {
    this.error = error;
    this.#news.notify();
  }

  confirmed(tag: number, multiple: boolean, accepted: boolean): void {
    for (let at = multiple ? this.#settled + 1 : tag; at <= tag; at++)
      if (!this.outcomes.has(at)) this.outcomes.set(at, accepted);
    while (this.outcomes.has(this.#settled + 1)) this.#settled++;
    this.#news.notify();
  }

  async queue(
    name: string,
    args: Readonly<Record<string, unknown>> = {},
    flags: { durable?: boolean; exclusive?: boolean; autoDelete?: boolean } = {},
  ): Promise<string> {
    const { durable = true, exclusive = false, autoDelete = false } = flags;
    await this.channel.declareQueue({ name, durable, exclusive, autoDelete, arguments: args });
    return name;
  }

  async exchange(name: string, type: string, args: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const flags = { durable: true, autoDelete: false, internal: false };
    await this.channel.declareExchange({ name, type, ...flags, arguments: args });
    return name;
  }

  async bind(
    queue: string,
    source: string,
    routingKey: string,
    args: Readonly<Record<string, unknown>> = {},
  ) {
    await this.channel.bind({
      destination: { kind: 'queue', name: queue },
      source,
      routingKey,
      arguments: args,
    });
  }

  /** Publishes and waits for the confirm: `ack`, `nack`, or `lost` when the channel is closed instead. */
  async publish(
    routingKey: string,
    text: string,
    options: { exchange?: string; mandatory?: boolean; properties?: MessageProperties } = {},
  ): Promise<'ack' | 'nack' | 'lost'> {
    const { exchange = '', mandatory = false, properties = {} } = options;
    const tag = ++this.#published;
    this.channel.publish({ exchange, routingKey, mandatory, properties, content: Buffer.from(text) });
    while (!this.outcomes.has(tag) && this.error === undefined) await this.#news.wait();
    const accepted = this.outcomes.get(tag);
    return accepted === undefined ? 'lost' : accepted ? 'ack' : 'nack';
  }

  /** Consumes, and answers with what comes. */
  async consume(queue: string, prefetch = 0, options: Partial<ConsumeOptions> = {}) {
    if (prefetch > 0) await this.channel.setPrefetch(prefetch);
    const received: Received[] = [];
    const state = { isCancelled: false, tag: '', received };
    state.tag = await this.channel.consume(
      queue,
      { noAck: false, exclusive: false, arguments: {}, ...options },
      (delivery) => {
        if (delivery) received.push({ ...delivery, text: delivery.content.toString() });
        else state.isCancelled = true;
        this.#news.notify();
      },
    );
    return state;
  }

  /** The next message of a queue, acknowledged at once. */
  async take(queue: string): Promise<Received> {
    const consumer = await this.consume(queue, 1);
    while (consumer.received.length === 0) await this.#news.wait();
    const [first] = consumer.received as [Received];
    await this.channel.cancel(consumer.tag);
    this.channel.ack(first.deliveryTag, false);
    return first;
  }

  async ready(queue: string): Promise<number> {
    return (await this.channel.checkQueue(queue)).messages;
  }

  /** What the server refuses a request with: its code, and its words without the name of the virtual host. */
  async refusal(request: Promise<unknown>): Promise<string> {
    const error = await request.then(
      () => undefined,
      (reason: TransportError) => reason,
    );
    return error ? wordsOf(error) : 'done';
  }

  /** The same for what has no answer: waits for the channel to be closed. */
  async closing(): Promise<string> {
    while (this.error === undefined) await this.#news.wait();
    return wordsOf(this.error as TransportError);
  }
}

function wordsOf({ replyCode, message }: TransportError): string {
  const text = /with message "(.*)"$/s.exec(message)?.[1] ?? message;
  return `${replyCode} ${text.replaceAll(/vhost '[^']*'/g, "vhost '/'")}`;
}

/** The texts of what was received, with an `r` after those that came again. */
export function texts(received: readonly Received[]): string {
  return received.map(({ text, redelivered }) => (redelivered ? `${text}r` : text)).join(' ');
}

/** How often a delivery says that it came before, by both counts. */
export function counts({ properties, redelivered }: Received): string {
  const headers = (properties.headers ?? {}) as Record<string, unknown>;
  const shown = [headers['x-delivery-count'], headers['x-acquired-count']].map((it) => it ?? '-');
  return `${redelivered ? 'r' : '-'}${shown.join('')}`;
}
