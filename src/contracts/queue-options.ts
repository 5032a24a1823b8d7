import type { CodecName } from './body/json.js';
import type { ExchangeContract } from './exchange.js';
import type { QueueContract } from './queue.js';

/** The kinds of queue that RabbitMQ has. */
export type QueueType = 'quorum' | 'classic' | 'stream';

/** A message whose handler failed, as `retryIf` gets it. */
export interface FailedMessage<Body = unknown> {
  /** The id that its sender gave it; undefined when there is none. */
  readonly id: string | undefined;
  /** Which run of the handler has failed, from 1. */
  readonly attempt: number;
  /** What the schema made of the body. */
  readonly body: Body;
  /** The headers of its sender. */
  readonly headers: Readonly<Record<string, unknown>>;
}

/** A method, whose parameter may be narrower than the one of the contract that it is given to. */
interface RetryIf<Body> {
  retryIf(error: unknown, message: FailedMessage<Body>): boolean;
}

/** What to do with a message whose handler failed. */
export interface RetryOptions<Body = unknown> {
  /** How many times the handler runs in all before the message goes to the dead-letter queue. 1 to 10 000. @defaultValue 5 */
  readonly attempts?: number | undefined;
  /** The delay before the second attempt, in milliseconds, up to 60 days; rounded up by 63 ms at most. @defaultValue 1000 */
  readonly initialDelayMs?: number | undefined;
  /** What the delay is multiplied with for each further attempt, 1 to 100. @defaultValue 2 */
  readonly factor?: number | undefined;
  /** The longest delay, in milliseconds, up to 60 days. @defaultValue 60000 */
  readonly maxDelayMs?: number | undefined;
  /** Draws each delay at random between nothing and its full length, so that failures do not return in step. @defaultValue true */
  readonly jitter?: boolean | undefined;
  /** Says whether another attempt makes sense. `false` sends the message to the dead-letter queue at once. */
  readonly retryIf?: RetryIf<Body>['retryIf'] | undefined;
}

/** A binding of a queue, or of another exchange, to an exchange. */
export interface Binding {
  /** The exchange: its contract, which is then declared too, or the name of one that exists. */
  readonly exchange: ExchangeContract | string;
  /** The routing key, or the pattern of a topic exchange. @defaultValue '' */
  readonly routingKey?: string | undefined;
  /** The arguments of the binding: what a headers exchange matches. */
  readonly arguments?: Readonly<Record<string, unknown>> | undefined;
}

interface CommonQueueOptions<C extends CodecName, Body> {
  /** Exchanges that this queue gets messages from, beside what is sent to it by name. */
  readonly bindings?: readonly Binding[] | undefined;
  /**
   * What happens when a handler fails; `false`: the message goes to the dead-letter queue at once.
   * @defaultValue the defaults of {@link RetryOptions}
   */
  readonly retry?: RetryOptions<Body> | false | undefined;
  /**
   * Where messages go that cannot be handled, are rejected or expire.
   *
   * - `true`: the queue `<name>.dead`. It is declared with this queue, and also where the option `declare` leaves this queue alone.
   * - A contract: that queue, declared as its own contract says, so that it can be the work queue of another program.
   * - A name: the queue of that name, as it is. When it is missing, the first consumer of this queue declares it as a dead-letter
   *   queue; with `declare: false` or `'passive'` it must exist. Give the contract of a queue that has another owner.
   * - `false`: messages are dropped, unless the server knows a dead-letter target of the queue.
   *
   * @defaultValue true
   */
  readonly deadLetter?: boolean | string | QueueContract | undefined;
  /** How the body travels: JSON, UTF-8 text or bytes. @defaultValue 'json' */
  readonly codec?: C | undefined;
  /**
   * Which content types of other clients are read as this codec, beside its own (of JSON `application/json`, `text/json` and
   * `…+json`), such as `['text/plain']`. With `'any'` the body alone decides, whatever a message says of its type and encoding.
   * @defaultValue none
   */
  readonly contentTypes?: 'any' | readonly string[] | undefined;
  /**
   * `true` declares the queue when it is first used; `'passive'` only checks that it is there; `false` uses it as it is.
   * @defaultValue true
   */
  readonly declare?: boolean | 'passive' | undefined;
  /** Further `x-` arguments for the server, as they are. */
  readonly arguments?: Readonly<Record<string, unknown>> | undefined;
}

interface LimitedQueueOptions {
  /** How long a message may wait in the queue, in milliseconds, 0 to 4 294 967 295; then it is dead-lettered. */
  readonly messageTtlMs?: number | undefined;
  /** After how many milliseconds without a consumer or another use the server deletes the queue, 1 to 4 294 967 295. */
  readonly expiresMs?: number | undefined;
  /** The most messages it holds; see `overflow`. */
  readonly maxLength?: number | undefined;
  /** The most bytes of bodies it holds; see `overflow`. */
  readonly maxLengthBytes?: number | undefined;
  /** Delivers to one consumer at a time; the others stand by. @defaultValue false */
  readonly singleActiveConsumer?: boolean | undefined;
}

/** A replicated queue: the default, and the only kind that survives the loss of a server. */
export interface QuorumQueueOptions<C extends CodecName = 'json', Body = unknown>
  extends CommonQueueOptions<C, Body>,
    LimitedQueueOptions {
  readonly type?: 'quorum' | undefined;
  readonly durable?: true | undefined;
  readonly exclusive?: false | undefined;
  readonly autoDelete?: false | undefined;
  /**
   * What happens to a message for a full queue: the send is refused (`RejectedError`), or the oldest message is dropped to
   * the dead-letter queue. With `'drop-head'` the server dead-letters at most once: what it moves while it fails, or while the
   * dead-letter queue is away, is lost. With `'reject-publish'` it keeps each message until its dead letter is confirmed
   * (https://www.rabbitmq.com/docs/quorum-queues#dead-lettering). @defaultValue 'reject-publish'
   */
  readonly overflow?: 'reject-publish' | 'drop-head' | undefined;
  /** How often a message may come back before the server itself dead-letters it, 0 to 1 000 000. @defaultValue 20 */
  readonly deliveryLimit?: number | undefined;
  readonly maxPriority?: never | undefined;
}

/** A queue on one server. */
export interface ClassicQueueOptions<C extends CodecName = 'json', Body = unknown>
  extends CommonQueueOptions<C, Body>,
    LimitedQueueOptions {
  readonly type: 'classic';
  /** Survives a restart of the server. @defaultValue true */
  readonly durable?: boolean | undefined;
  /** Belongs to the connection that declares it and is deleted with it. @defaultValue false */
  readonly exclusive?: boolean | undefined;
  /** Deleted when its last consumer leaves. @defaultValue false */
  readonly autoDelete?: boolean | undefined;
  /**
   * What happens to a message for a full queue: `'drop-head'` moves the oldest to the dead-letter queue, `'reject-publish'` refuses
   * the send (`RejectedError`), `'reject-publish-dlx'` refuses it and puts the message into the dead-letter queue all the same. A
   * classic queue dead-letters at most once: a server that fails at that moment loses the letter. @defaultValue 'drop-head', the
   * server's own
   */
  readonly overflow?: 'drop-head' | 'reject-publish' | 'reject-publish-dlx' | undefined;
  /** The highest priority that it keeps apart, 1 to 255; more than 10 is wasteful. */
  readonly maxPriority?: number | undefined;
  readonly deliveryLimit?: never | undefined;
}

/**
 * A log that keeps its messages after they are read. Each of its consumers reads all of it, from the `offset` of its options
 * on, and keeps its own place: see `ConsumerOptions`.
 *
 * A stream takes nothing back. A failed message runs again in its place, after the delay of the retry policy: with a
 * `concurrency` of 1 all others wait for it, with more those that are delivered go by. When it is out of attempts, is given up
 * or is invalid, a copy of it goes to the dead-letter queue (with `deadLetter: false` nowhere), and the consumer goes on. The
 * attempts are counted by the consumer, also over reconnects; they begin at 1 again with another one.
 *
 * Age and segments are bounded by `arguments`, such as `{ 'x-max-age': '7D' }`: a number and Y, M, D, h, m or s.
 */
export interface StreamQueueOptions<C extends CodecName = 'json', Body = unknown>
  extends CommonQueueOptions<C, Body> {
  readonly type: 'stream';
  readonly durable?: true | undefined;
  readonly exclusive?: false | undefined;
  readonly autoDelete?: false | undefined;
  /** The most bytes it keeps; the oldest go first, in whole segments, of 500 MB unless `arguments` say otherwise. */
  readonly maxLengthBytes?: number | undefined;
  readonly maxLength?: never | undefined;
  readonly messageTtlMs?: never | undefined;
  readonly expiresMs?: never | undefined;
  readonly overflow?: never | undefined;
  readonly maxPriority?: never | undefined;
  readonly singleActiveConsumer?: never | undefined;
  readonly deliveryLimit?: never | undefined;
}

/** The options of {@link queue}. */
export type QueueOptions<C extends CodecName = 'json', Body = unknown> =
  | QuorumQueueOptions<C, Body>
  | ClassicQueueOptions<C, Body>
  | StreamQueueOptions<C, Body>;
