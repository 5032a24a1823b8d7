import type { Clock } from '../../util/clock.js';
import {
  type BindingDeclaration,
  isReplyAddress,
  type OutgoingMessage,
  type QueueDeclaration,
  type Role,
} from '../port.js';
import { deadLetterOf, isCycle } from './dead-letter.js';
import { keepsDeadLetters } from './dead-letter-worker.js';
import type { AnyQueue } from './exchange.js';
import { Exchanges } from './exchanges.js';
import { copyTable, type DeathReason, type Entry, keysIn, type StoredMessage } from './message.js';
import { MemoryQueue, type QueueHost } from './queue.js';
import {
  checkQueue,
  checkSameQueue,
  type MemoryQueueType,
  typeOf,
  withDefaultType,
} from './queue-arguments.js';
import { Replies } from './replies.js';
import { lockedQueue, noQueue, ServerRefusalError } from './server-refusal.js';
import { MemoryStream } from './stream.js';
import { BEHAVIOURS, type Behaviour, type ServerVersion } from './version.js';

/** The outcome of a published message. */
export interface Published {
  /** A queue, or the requester that the message answers, accepted or refused the message. */
  readonly wasRouted: boolean;
  /** False if a queue refused the message. */
  readonly wasAccepted: boolean;
  /** The message in the form in which the server stores it. */
  readonly message: StoredMessage;
}

/** A connection from the server's point of view. */
export interface ServerLink {
  readonly role: Role;
  /** The alarm begins, or is over. */
  setAlarm(reason: string | undefined): void;
  /** The server ends the connection. */
  drop(reason: Error): void;
  /** Answers and deliveries that the client has not seen. */
  readonly isBusy: boolean;
}

/** Observes a server. */
export interface ServerObserver {
  /** A client has published. */
  onPublished?(message: StoredMessage, link: ServerLink): void;
  /** The client has seen the confirm of a message that it published, or the refusal. */
  onConfirmed?(message: StoredMessage): void;
  /** A message is in a queue. */
  onEnqueued?(queue: string, message: StoredMessage): void;
}

/**
 * A model of one RabbitMQ server with one virtual host. It does everything at once and in order. The links make it look
 * remote, by delivering answers later.
 */
export class MemoryServer implements QueueHost {
  readonly behaviour: Behaviour;
  readonly clock: Clock;
  readonly exchanges: Exchanges;
  readonly replies = new Replies();
  readonly links = new Set<ServerLink>();
  /** The administrator's `default_queue_type`. */
  readonly defaultQueueType: MemoryQueueType;
  observer: ServerObserver | undefined;
  readonly #queues = new Map<string, AnyQueue>();
  readonly #afterwards: (() => void)[] = [];
  #distributing = 0;
  #alarm: string | undefined;

  constructor(clock: Clock, version: ServerVersion, defaultQueueType: MemoryQueueType = 'classic') {
    this.clock = clock;
    this.defaultQueueType = defaultQueueType;
    this.behaviour = BEHAVIOURS[version];
    this.exchanges = new Exchanges(this.behaviour, this.#queues);
  }

  get queues(): Iterable<AnyQueue> {
    return this.#queues.values();
  }

  get alarm(): string | undefined {
    return this.#alarm;
  }

  /** Raises an alarm that stops publishing, or ends it. */
  setAlarm(reason: string | undefined): void {
    this.#alarm = reason;
    for (const link of [...this.links]) link.setAlarm(reason);
  }

  declareQueue(given: QueueDeclaration, link: object): void {
    const received = withDefaultType(given, this.defaultQueueType);
    const existing = this.#queues.get(received.name);
    if (existing) {
      this.#checkAccess(existing, link);
      if ((existing.owner === undefined) === received.exclusive) throw lockedQueue(received.name);
      checkSameQueue(received, existing.declaration, this.behaviour);
      existing.used();
      return;
    }
    if (received.name.startsWith('amq.'))
      throw new ServerRefusalError(403, `queue name '${received.name}' contains reserved prefix 'amq.*'`);
    checkQueue(received);
    const queue =
      typeOf(received) === 'stream'
        ? new MemoryStream(received, this)
        : new MemoryQueue(received, received.exclusive ? link : undefined, this);
    this.#queues.set(received.name, queue);
  }

  /** The queue, if this link may use it. */
  queue(name: string, link: object): AnyQueue {
    const queue = this.#queues.get(name);
    if (!queue) throw noQueue(name);
    this.#checkAccess(queue, link);
    return queue;
  }

  bind(binding: BindingDeclaration, link: object): void {
    const { kind, name } = binding.destination;
    const queue = kind === 'queue' ? this.#queues.get(name) : undefined;
    if (queue) this.#checkAccess(queue, link);
    this.exchanges.bind(binding);
  }

  /** Does nothing if there is none. */
  deleteQueue(name: string, link: object): void {
    const queue = this.#queues.get(name);
    if (!queue) return;
    this.#checkAccess(queue, link);
    this.queueEnded(queue);
  }

  queueEnded(queue: AnyQueue): void {
    if (this.#queues.get(queue.name) !== queue) return;
    this.#queues.delete(queue.name);
    this.exchanges.unbindAll(queue);
    queue.delete();
  }

  /** @param replyTo - the address to write into the message, in place of the one in its properties */
  publish(outgoing: OutgoingMessage, replyTo: string | undefined, link: ServerLink): Published {
    const { exchange, content } = outgoing;
    const { maxMessageBytes } = this.behaviour;
    if (content.length > maxMessageBytes) {
      const sizes = `message size ${content.length} is larger than configured max size ${maxMessageBytes}`;
      throw new ServerRefusalError(406, sizes);
    }
    this.exchanges.checkPublish(exchange);
    const message = stored(outgoing, replyTo);
    this.observer?.onPublished?.(message, link);
    if (exchange === '' && isReplyAddress(message.routingKey)) {
      this.replies.deliver(message);
      return { wasRouted: !this.behaviour.returnsReplies, wasAccepted: true, message };
    }
    return this.#distribute(message);
  }

  deadLetter(queue: MemoryQueue, entry: Entry, reason: DeathReason, taken?: Set<string>): boolean {
    const { arguments: args } = queue.declaration;
    const targetExchange = args['x-dead-letter-exchange'] as string | undefined;
    if (targetExchange === undefined) return true;
    const message = deadLetterOf(
      {
        entry,
        reason,
        queue: queue.name,
        queueType: queue.type,
        targetExchange,
        targetRoutingKey: args['x-dead-letter-routing-key'] as string | undefined,
        timeSeconds: Math.floor(this.clock.wallNow() / 1_000),
      },
      this.behaviour,
    );
    if (!keepsDeadLetters(queue.declaration)) {
      this.#later(() => this.#distribute(message, reason));
      return true;
    }
    const { wasRouted, wasAccepted } = this.#distribute(message, reason, taken);
    return wasRouted && wasAccepted;
  }

  /** A connection is gone: its exclusive queues are deleted. */
  linkClosed(link: ServerLink): void {
    this.links.delete(link);
    for (const queue of [...this.#queues.values()]) if (queue.owner === link) this.queueEnded(queue);
  }

  #distribute(message: StoredMessage, reason?: DeathReason, taken?: Set<string>): Published {
    let wasRouted = false;
    let wasAccepted = true;
    this.#distributing++;
    for (const queue of this.exchanges.route(message)) {
      wasRouted = true;
      if (reason !== undefined && isCycle(queue.name, reason, message)) continue;
      if (taken?.has(queue.name)) continue;
      if (!queue.enqueue(message)) {
        wasAccepted = false;
        continue;
      }
      taken?.add(queue.name);
      this.observer?.onEnqueued?.(queue.name, message);
    }
    this.#distributing--;
    if (this.#distributing === 0) for (const next of this.#afterwards.splice(0)) next();
    return { wasRouted, wasAccepted, message };
  }

  /** A dead letter is routed after the message that caused it has reached all of its queues. */
  #later(distribute: () => void): void {
    if (this.#distributing > 0) this.#afterwards.push(distribute);
    else distribute();
  }

  #checkAccess({ owner, name }: AnyQueue, link: object): void {
    if (owner !== undefined && owner !== link) throw lockedQueue(name);
  }
}

function stored(
  { exchange, routingKey, properties, content }: OutgoingMessage,
  replyTo: string | undefined,
): StoredMessage {
  const { headers: given, ...others } = properties;
  const headers = given ? copyTable(given) : {};
  const routingKeys = [routingKey, ...keysIn(headers.CC), ...keysIn(headers.BCC)];
  delete headers.BCC;
  return {
    exchange,
    routingKey,
    routingKeys,
    properties: replyTo === undefined ? others : { ...others, replyTo },
    headers,
    // The sender may reuse its buffer.
    content: Buffer.from(content),
    deaths: [],
    counts: undefined,
  };
}
