import { randomUUID } from 'node:crypto';
import { type ConsumeOptions, type Delivery, REPLY_TO } from '../port.js';
import type { QueueConsumer } from './consumers.js';
import { amqpType } from './equivalence.js';
import type { AnyQueue } from './exchange.js';
import { copyTable, type Entry, type StoredMessage, type Table } from './message.js';
import { type Delivered, MemoryQueue, type Return } from './queue.js';
import type { MemoryServer, ServerLink } from './server.js';
import { queueInUse, ServerRefusalError } from './server-refusal.js';
import { MemoryStream } from './stream.js';

/** A delivery on its way to the client. */
export interface Unacked {
  readonly tag: number;
  readonly message: StoredMessage;
  readonly redelivered: boolean;
  readonly headers: Table;
}

export interface ChannelConsumer {
  readonly onDelivery: (delivery: Delivery | undefined) => void;
}

interface Consumer extends QueueConsumer, ChannelConsumer {
  readonly queue: AnyQueue;
  unacked: number;
}

interface Kept extends Delivered {
  readonly consumer: Consumer;
}

/** The consumers of one channel, and its unacknowledged deliveries. */
export class ChannelConsumers {
  /** For the consumers that begin from now on; 0: without a limit. */
  prefetch = 0;
  readonly #server: MemoryServer;
  readonly #link: ServerLink;
  readonly #onDelivery: (consumer: ChannelConsumer, unacked: Unacked) => void;
  readonly #consumers = new Map<string, Consumer>();
  /** By tag, in order. */
  readonly #unacked = new Map<number, Kept>();
  #lastTag = 0;
  #reply: { readonly address: string; readonly tag: string } | undefined;

  constructor(
    server: MemoryServer,
    link: ServerLink,
    onDelivery: (consumer: ChannelConsumer, unacked: Unacked) => void,
  ) {
    this.#server = server;
    this.#link = link;
    this.#onDelivery = onDelivery;
  }

  /** The address for direct replies to this channel, if it receives any. */
  get replyAddress(): string | undefined {
    return this.#reply?.address;
  }

  /** Returns the tag, and a function that starts the deliveries. */
  consume(
    name: string,
    options: ConsumeOptions,
    onDelivery: ChannelConsumer['onDelivery'],
    arrive: (event: () => void) => void,
  ): { readonly tag: string; readonly start: () => void } {
    const tag = `amq.ctag-${randomUUID()}`;
    if (name === REPLY_TO) {
      this.#takeReplies(tag, options, onDelivery);
      return { tag, start: () => {} };
    }
    const queue = this.#server.queue(name, this.#link);
    const { noAck, exclusive, arguments: args } = options;
    if (queue instanceof MemoryStream) queue.checkConsumer({ noAck, arguments: args }, this.prefetch);
    const type = queue instanceof MemoryStream ? 'stream' : queue.type;
    const { refusesConsumerTimeout } = this.#server.behaviour;
    if (args['x-consumer-timeout'] !== undefined && refusesConsumerTimeout && type !== 'quorum') {
      throw new ServerRefusalError(
        406,
        `invalid arg 'x-consumer-timeout' for queue '${name}' in vhost '/' of queue type rabbit_${type}_queue`,
      );
    }
    const priority = args['x-priority'] ?? 0;
    if (!Number.isInteger(priority)) {
      const wrong = `"expected integer, got ${amqpType(priority)}"`;
      throw new ServerRefusalError(
        406,
        `invalid arg 'x-priority' for queue '${name}' in vhost '/': ${wrong}`,
      );
    }
    if (queue instanceof MemoryQueue) checkExclusive(queue, exclusive);
    const noLimit = noAck || this.prefetch === 0;
    let room = this.prefetch;
    const consumer: Consumer = {
      tag,
      queue,
      priority: priority as number,
      isExclusive: exclusive,
      noAck,
      arguments: args,
      unacked: 0,
      onDelivery,
      hasRoom: () => noLimit || consumer.unacked < room,
      deliver: (entry) => this.#deliver(consumer, entry),
      gainRoom: () => {
        room++;
      },
      cancelled: () => {
        this.#consumers.delete(tag);
        arrive(() => onDelivery(undefined));
      },
    };
    this.#consumers.set(tag, consumer);
    return { tag, start: () => this.#consumers.has(tag) && queue.addConsumer(consumer) };
  }

  /** Delivered messages stay with the channel. Does nothing if there is no such consumer. */
  cancel(tag: string): void {
    if (this.#reply?.tag === tag) this.#stopReplies();
    const consumer = this.#consumers.get(tag);
    this.#consumers.delete(tag);
    if (!consumer) return;
    if (consumer.unacked > 0) consumer.queue.setLeaving(consumer, true);
    consumer.queue.removeConsumer(consumer);
  }

  ack(tag: number, multiple: boolean): void {
    this.#settle(tag, multiple, (kept) => {
      for (const { entry, consumer } of kept) consumer.queue.acknowledged(entry);
    });
  }

  reject(tag: number, multiple: boolean, how: Return): void {
    this.#settle(tag, multiple, (kept) => {
      for (const { entry, consumer } of kept) consumer.queue.rejected(entry, how);
    });
  }

  requeue(tag: number, multiple: boolean, how: Return): void {
    this.#settle(tag, multiple, (kept) => requeueAll(kept, how));
  }

  /** The channel is gone: everything unacknowledged is requeued. */
  close(): void {
    this.#stopReplies();
    const kept = [...this.#unacked.values()];
    this.#unacked.clear();
    const consumers = [...this.#consumers.values()];
    this.#consumers.clear();
    for (const consumer of consumers) consumer.queue.consumers.remove(consumer);
    for (const { consumer } of kept) consumer.queue.setLeaving(consumer, false);
    // Messages from a queue that is deleted with its last consumer are lost with it.
    const isLeft = (queue: AnyQueue) =>
      queue instanceof MemoryQueue && queue.declaration.autoDelete && queue.consumers.size === 0;
    requeueAll(
      kept.filter(({ consumer }) => !isLeft(consumer.queue)),
      'lost',
    );
    for (const consumer of consumers) consumer.queue.consumerLeft();
  }

  #deliver(consumer: Consumer, entry: Entry): void {
    const tag = ++this.#lastTag;
    const { message, wasDelivered } = entry;
    if (!consumer.noAck) {
      consumer.unacked++;
      this.#unacked.set(tag, { entry, consumer });
    }
    const headers = headersOf(consumer.queue, entry, this.#server.behaviour.acquiredCount);
    this.#onDelivery(consumer, { tag, message, redelivered: wasDelivered, headers });
  }

  /** Settles deliveries; then there is room for the next ones. */
  #settle(tag: number, multiple: boolean, settle: (kept: readonly Kept[]) => void): void {
    // Tag 0 with `multiple` means all deliveries, and is valid even if there are none.
    if (!(tag === 0 && multiple) && !this.#unacked.has(tag))
      throw new ServerRefusalError(406, `unknown delivery tag ${tag}`);
    const kept = multiple ? this.#takeUpTo(tag || Number.POSITIVE_INFINITY) : this.#takeOne(tag);
    for (const { consumer } of kept) if (--consumer.unacked === 0) consumer.queue.setLeaving(consumer, false);
    settle(kept);
    for (const queue of new Set(kept.map(({ consumer }) => consumer.queue))) queue.dispatch();
  }

  #takeOne(tag: number): readonly Kept[] {
    const kept = this.#unacked.get(tag) as Kept;
    this.#unacked.delete(tag);
    return [kept];
  }

  #takeUpTo(last: number): readonly Kept[] {
    const taken: Kept[] = [];
    for (const [tag, kept] of this.#unacked) {
      if (tag > last) break;
      this.#unacked.delete(tag);
      taken.push(kept);
    }
    return taken;
  }

  #takeReplies(tag: string, { noAck }: ConsumeOptions, onDelivery: ChannelConsumer['onDelivery']): void {
    if (!noAck) throw new ServerRefusalError(406, 'reply consumer cannot acknowledge');
    if (this.#reply) throw new ServerRefusalError(406, 'reply consumer already set');
    const address = this.#server.replies.add((message) => {
      const headers = copyTable(message.headers);
      this.#onDelivery({ onDelivery }, { tag: ++this.#lastTag, message, redelivered: false, headers });
    });
    this.#reply = { address, tag };
  }

  #stopReplies(): void {
    if (this.#reply) this.#server.replies.remove(this.#reply.address);
    this.#reply = undefined;
  }
}

/** Requeues in the order of delivery, each message to its queue. */
function requeueAll(kept: readonly Kept[], how: Return): void {
  for (const queue of new Set(kept.map(({ consumer }) => consumer.queue))) {
    const ofQueue = kept.filter(({ consumer }) => consumer.queue === queue);
    queue.requeue(ofQueue, how);
  }
}

/** Quorum queues let any number of exclusive consumers in. */
function checkExclusive({ type, name, consumers, declaration }: MemoryQueue, exclusive: boolean): void {
  if (type !== 'classic') return;
  const isSingle = declaration.arguments['x-single-active-consumer'] === true;
  if (consumers.hasExclusive || (exclusive && (consumers.size > 0 || isSingle))) throw queueInUse(name);
}

function headersOf(
  { type }: AnyQueue,
  { message, sequence, failed, acquired }: Entry,
  acquiredCount: boolean,
): Table {
  const headers = copyTable(message.headers);
  if (type === 'stream') headers['x-stream-offset'] = sequence;
  if (type !== 'quorum') return headers;
  const count = failed > 0 ? failed : (message.counts?.failed ?? 0);
  if (count > 0) headers['x-delivery-count'] = count;
  if (acquiredCount && acquired > 0) headers['x-acquired-count'] = acquired;
  return headers;
}
