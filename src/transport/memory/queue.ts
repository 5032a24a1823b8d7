import type { Clock } from '../../util/clock.js';
import type { QueueDeclaration } from '../port.js';
import { AlarmTimer } from './alarm-timer.js';
import { Consumers, type QueueConsumer } from './consumers.js';
import { DeadLetterWorker, keepsDeadLetters } from './dead-letter-worker.js';
import { type DeathReason, type Entry, propertyBytes, type StoredMessage } from './message.js';
import { type MemoryQueueType, typeOf } from './queue-arguments.js';
import { QueueLimits } from './queue-limits.js';
import { ClassicReady, QuorumReady, type Ready } from './ready-messages.js';
import type { Behaviour } from './version.js';

/** The part of its server that a queue uses. */
export interface QueueHost {
  readonly behaviour: Behaviour;
  readonly clock: Clock;
  /**
   * Routes a dead letter. Returns false if it must be kept for another attempt.
   *
   * @param taken - the queues that have accepted it already; those that accept it now are added
   */
  deadLetter(queue: MemoryQueue, entry: Entry, reason: DeathReason, taken?: Set<string>): boolean;
  /** The queue has been unused for as long as its argument says, or its last consumer has left. */
  queueEnded(queue: MemoryQueue): void;
}

/** How a delivered message is requeued: with `basic.nack`, with `basic.reject`, or because its channel is gone. */
export type Return = 'nack' | 'reject' | 'lost';

/** A message that was delivered to a consumer. */
export interface Delivered {
  readonly entry: Entry;
  readonly consumer: QueueConsumer;
}

/** One queue: its messages, its consumers, and the effects of its arguments on both. */
export class MemoryQueue {
  readonly declaration: QueueDeclaration;
  readonly type: MemoryQueueType;
  /** The link that an exclusive queue belongs to. */
  readonly owner: object | undefined;
  readonly consumers: Consumers;
  readonly #host: QueueHost;
  readonly #limits: QueueLimits;
  readonly #ready: Ready;
  readonly #unacked = new Set<Entry>();
  readonly #leaving = new Set<QueueConsumer>();
  readonly #expiry: AlarmTimer;
  readonly #disuse: AlarmTimer;
  readonly #letters: DeadLetterWorker;
  /** Messages that have died and are not on their way yet. */
  readonly #dead: { readonly entry: Entry; readonly reason: DeathReason }[] = [];
  #lastUsedAt: number;
  #sequence = 0;
  #readyBytes = 0;
  #unackedBytes = 0;
  #isDeleted = false;

  constructor(declaration: QueueDeclaration, owner: object | undefined, host: QueueHost) {
    const { arguments: args } = declaration;
    const { clock, behaviour } = host;
    this.declaration = declaration;
    this.type = typeOf(declaration);
    this.owner = owner;
    this.#host = host;
    this.#limits = new QueueLimits(declaration, behaviour);
    this.#ready =
      this.type === 'quorum'
        ? new QuorumReady(behaviour, this.#limits.deliveryLimit !== undefined)
        : new ClassicReady(this.#limits.maxPriority);
    const yields = this.type === 'quorum' && behaviour.activeConsumerYields;
    this.consumers = new Consumers(args['x-single-active-consumer'] === true, yields);
    this.#expiry = new AlarmTimer(clock, () => {
      this.#expire();
      this.#sendDeadLetters();
    });
    this.#disuse = new AlarmTimer(clock, () => this.#checkUse());
    this.#letters = new DeadLetterWorker(clock, (entry, reason, taken) =>
      host.deadLetter(this, entry, reason, taken),
    );
    this.#lastUsedAt = clock.now();
    this.used();
  }

  get name(): string {
    return this.declaration.name;
  }

  /** As the server counts: a quorum queue keeps a cancelled consumer until all of its messages are settled. */
  get consumerCount(): number {
    return this.consumers.size + (this.type === 'quorum' ? this.#leaving.size : 0);
  }

  get readyCount(): number {
    return this.#ready.length;
  }

  /** Postpones its expiry for lack of use. */
  used(): void {
    if (this.#limits.expiresMs === undefined) return;
    this.#lastUsedAt = this.#host.clock.now();
    if (this.consumers.size === 0) this.#disuse.wakeAt(this.#lastUsedAt + this.#limits.expiresMs);
  }

  /** Accepts a message, or refuses it for lack of room. */
  enqueue(message: StoredMessage): boolean {
    const isAccepted = this.#accept(message);
    this.#sendDeadLetters();
    return isAccepted;
  }

  #accept(message: StoredMessage): boolean {
    const { properties, headers, content, counts } = message;
    const { acquiredCount, countsPropertyBytes } = this.#host.behaviour;
    const isQuorum = this.type === 'quorum';
    let sizeBytes = content.length;
    if (isQuorum && countsPropertyBytes && this.#limits.maxBytes !== undefined)
      sizeBytes += propertyBytes(properties, headers);
    const carried = isQuorum || acquiredCount ? counts : undefined;
    const entry: Entry = {
      message,
      sequence: this.#sequence++,
      priority: properties.priority,
      sizeBytes,
      expiresAt: Number.POSITIVE_INFINITY,
      failed: acquiredCount ? (carried?.failed ?? 0) : 0,
      acquired: acquiredCount ? (carried?.acquired ?? 0) : 0,
      wasDelivered: isQuorum && (carried?.wasDelivered ?? false),
    };
    if (this.#refuses(sizeBytes)) {
      if (this.#limits.overflow === 'reject-publish-dlx') this.#die(entry, 'maxlen');
      return false;
    }
    const ttlMs = this.#limits.ttlOf(properties.expiration);
    if (ttlMs !== undefined && ttlMs > 0) entry.expiresAt = this.#host.clock.now() + ttlMs;
    this.#ready.push(entry);
    this.#readyBytes += sizeBytes;
    this.#deliver();
    // A classic queue does not record that a message was delivered elsewhere until it stores the message.
    if (carried?.wasDelivered) entry.wasDelivered = true;
    // A message with a TTL of zero is only for consumers that are waiting now.
    if (ttlMs === 0) entry.expiresAt = this.#host.clock.now();
    const { length } = this.#ready;
    this.#dropOverflow();
    // A classic queue that already holds messages does not treat the new one as its head, whatever the priority
    // (rabbit_amqqueue_process:deliver_or_enqueue).
    if (this.type !== 'classic' || this.#ready.length < length || length === 1) this.#expire();
    return true;
  }

  /** A quorum queue also counts unacknowledged messages. It does not count the new one, so it is over its limit before it refuses. */
  #refuses(sizeBytes: number): boolean {
    if (this.type !== 'quorum')
      return this.#limits.refuses(this.#ready.length + 1, this.#readyBytes + sizeBytes);
    const unacked = this.#unacked.size + this.#letters.count;
    return this.#limits.refuses(this.#ready.length + unacked, this.#readyBytes + this.#unackedBytes);
  }

  /** Delivers ready messages to consumers with room. */
  dispatch(): void {
    this.#deliver();
    this.#sendDeadLetters();
  }

  #deliver(): void {
    while (this.#ready.length > 0) {
      const head = this.#ready.peek() as Entry;
      const isQuorum = this.type === 'quorum';
      if (isQuorum && this.#isExpired(head)) {
        this.#expire();
        continue;
      }
      const consumer = this.consumers.next();
      if (!consumer) break;
      this.#ready.shift();
      this.#readyBytes -= head.sizeBytes;
      if (!consumer.noAck) {
        this.#unacked.add(head);
        this.#unackedBytes += head.sizeBytes;
      }
      consumer.deliver(head);
      head.wasDelivered = true;
      // A classic queue looks at its new head only now (rabbit_amqqueue_process:fetch).
      if (!isQuorum) this.#expire();
    }
    if (this.#ready.length === 0) this.#expiry.clear();
  }

  acknowledged(entry: Entry): void {
    this.#settle(entry);
  }

  /** Dead-letters a message that a consumer has rejected without requeueing. */
  rejected(entry: Entry, how: Return): void {
    if (!this.#settle(entry)) return;
    if (how !== 'nack') entry.failed++;
    this.#die(entry, 'rejected');
  }

  /** Requeues messages, in this order. */
  requeue(delivered: readonly Delivered[], how: Return): void {
    const { nackCounts, roomForTwo } = this.#host.behaviour;
    for (const { entry, consumer } of delivered) {
      if (!this.#settle(entry)) continue;
      entry.acquired++;
      if (how !== 'nack' || nackCounts) entry.failed++;
      const { deliveryLimit } = this.#limits;
      if (deliveryLimit !== undefined && entry.failed > deliveryLimit) {
        this.#die(entry, 'delivery_limit');
        if (roomForTwo) consumer.gainRoom();
        continue;
      }
      this.#ready.putBack(entry, how === 'lost');
      this.#readyBytes += entry.sizeBytes;
    }
    // A quorum queue delivers before it looks at its limits (rabbit_fifo:checkout).
    if (this.type === 'quorum') {
      this.#expire();
      this.#deliver();
    }
    this.#dropOverflow();
    this.#expire();
    this.dispatch();
  }

  addConsumer(consumer: QueueConsumer): void {
    this.consumers.add(consumer);
    this.#disuse.clear();
    this.dispatch();
  }

  removeConsumer(consumer: QueueConsumer): void {
    if (this.consumers.remove(consumer)) this.consumerLeft();
  }

  /** Records whether a cancelled consumer still has messages. */
  setLeaving(consumer: QueueConsumer, isLeaving: boolean): void {
    if (isLeaving) this.#leaving.add(consumer);
    else this.#leaving.delete(consumer);
  }

  /** Checks whether the queue is still needed, and which consumer is next. */
  consumerLeft(): void {
    if (this.#isDeleted) return;
    this.used();
    if (this.declaration.autoDelete && this.consumers.size === 0) this.#host.queueEnded(this);
    else this.dispatch();
  }

  /** Removes the ready messages. */
  purge(): number {
    const count = this.#ready.length;
    while (this.#ready.length > 0) this.#ready.shift();
    this.#readyBytes = 0;
    this.#expiry.clear();
    return count;
  }

  /** Deletes the queue: its messages are gone, and its consumers are notified. */
  delete(): void {
    this.#isDeleted = true;
    this.purge();
    this.#unacked.clear();
    this.#letters.clear();
    for (const timer of [this.#expiry, this.#disuse]) timer.clear();
    this.cancelConsumers();
  }

  /** Cancels the queue's consumers, and notifies them. */
  cancelConsumers(): void {
    for (const consumer of this.consumers) {
      this.consumers.remove(consumer);
      consumer.cancelled();
    }
    this.consumerLeft();
  }

  #settle(entry: Entry): boolean {
    if (!this.#unacked.delete(entry)) return false;
    this.#unackedBytes -= entry.sizeBytes;
    return true;
  }

  #isExpired({ expiresAt }: Entry): boolean {
    return expiresAt !== Number.POSITIVE_INFINITY && expiresAt <= this.#host.clock.now();
  }

  /** Dead-letters expired messages at the head. A message behind them waits even after its time is over. */
  #expire(): void {
    let next = Number.POSITIVE_INFINITY;
    for (let isDone = false; !isDone; ) {
      isDone = true;
      next = Number.POSITIVE_INFINITY;
      for (const head of this.#ready.heads()) {
        if (head.expiresAt < next) next = head.expiresAt;
        if (!this.#isExpired(head)) continue;
        this.#ready.shiftHead(head);
        this.#readyBytes -= head.sizeBytes;
        this.#die(head, 'expired');
        isDone = false;
        break;
      }
    }
    if (next !== Number.POSITIVE_INFINITY) this.#expiry.wakeAt(next);
  }

  #dropOverflow(): void {
    while (this.#ready.length > 0 && this.#limits.overflows(this.#ready.length, this.#readyBytes)) {
      const entry = this.#ready.shift() as Entry;
      this.#readyBytes -= entry.sizeBytes;
      this.#die(entry, 'maxlen');
    }
  }

  #die(entry: Entry, reason: DeathReason): void {
    this.#dead.push({ entry, reason });
  }

  /** A dead letter leaves when the queue has done everything else: the room that it made is taken by then. */
  #sendDeadLetters(): void {
    for (let dead = this.#dead.shift(); dead; dead = this.#dead.shift()) {
      const { entry, reason } = dead;
      if (keepsDeadLetters(this.declaration)) this.#letters.add(entry, reason);
      else this.#host.deadLetter(this, entry, reason);
    }
  }

  #checkUse(): void {
    const { expiresMs } = this.#limits;
    if (expiresMs === undefined || this.consumers.size > 0) return;
    const endsAt = this.#lastUsedAt + expiresMs;
    if (endsAt <= this.#host.clock.now()) this.#host.queueEnded(this);
    else this.#disuse.wakeAt(endsAt);
  }
}
