import type { ContentTypes } from './body/content-types.js';
import type { CodecName } from './body/json.js';
import type { OutputOf, Schema } from './body/schema.js';

/** The queue types of RabbitMQ. */
export type QueueType = 'quorum' | 'classic' | 'stream';

/** A message whose handler failed, as passed to `retryIf`. */
export interface FailedMessage<Body = unknown> {
  /** The id that the sender assigned; undefined if there is none. */
  readonly id: string | undefined;
  /** Which run of the handler failed, from 1. */
  readonly attempt: number;
  /** The body, after the schema was applied. */
  readonly body: Body;
  /** The sender's headers. */
  readonly headers: Readonly<Record<string, unknown>>;
}

/** A method, so that its parameter may be narrower than the contract's. */
interface RetryIf<Body> {
  retryIf(error: unknown, message: FailedMessage<Body>): boolean;
}

/** How failed messages are retried. */
export interface RetryOptions<Body = unknown> {
  /**
   * How many times the handler runs in all before the message goes to the dead-letter queue. 1 to 10 000. Runs that end the
   * process count too once the message was retried; before that, the queue's `deliveryLimit` bounds them. @defaultValue 5
   */
  readonly attempts?: number | undefined;
  /** The delay before the second attempt, in milliseconds, 0 to 60 days; rounded up by 63 ms at most. @defaultValue 1000 */
  readonly initialDelayMs?: number | undefined;
  /** The factor by which the delay grows with each attempt, 1 to 100. @defaultValue 2 */
  readonly factor?: number | undefined;
  /** The longest delay, in milliseconds, 0 to 60 days. @defaultValue 60000 */
  readonly maxDelayMs?: number | undefined;
  /**
   * Draws each delay at random between 0 and its full length, so that failed messages do not return in step. @defaultValue
   * true
   */
  readonly jitter?: boolean | undefined;
  /** Decides whether another attempt makes sense. `false` sends the message to the dead-letter queue at once. */
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
  /** Further `x-` arguments for the server, passed unchanged. */
  readonly arguments?: Readonly<Record<string, unknown>> | undefined;
}

interface LimitedQueueOptions {
  /** How long a message may wait in the queue, in milliseconds, 0 to 4 294 967 295; then it is dead-lettered. */
  readonly messageTtlMs?: number | undefined;
  /** The server deletes the queue after this many milliseconds without a consumer or other use, 1 to 4 294 967 295. */
  readonly expiresMs?: number | undefined;
  /** The most messages that the queue holds, 0 or more; see `overflow`. */
  readonly maxLength?: number | undefined;
  /** The most bytes of bodies that the queue holds, 0 or more; see `overflow`. */
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
   * What happens to a message for a full queue: either the send is refused (`RejectedError`), or the oldest message is moved
   * to the dead-letter queue. With `'drop-head'` the server dead-letters at most once: it loses a message if it fails while
   * moving it, or if the dead-letter queue is unavailable. With `'reject-publish'` it keeps each message until its dead
   * letter is confirmed (https://www.rabbitmq.com/docs/quorum-queues#dead-lettering). @defaultValue 'reject-publish', or
   * `'drop-head'` with `deadLetter: false`
   */
  readonly overflow?: 'reject-publish' | 'drop-head' | undefined;
  /**
   * How often a message may be redelivered, 0 to 1 000 000. The server itself dead-letters it when it comes back once more.
   * @defaultValue 20
   */
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
  /** Belongs to the connection that declares it, and is deleted with that connection. @defaultValue false */
  readonly exclusive?: boolean | undefined;
  /** Deleted when its last consumer leaves. @defaultValue false */
  readonly autoDelete?: boolean | undefined;
  /**
   * What happens to a message for a full queue: `'drop-head'` moves the oldest to the dead-letter queue, `'reject-publish'`
   * refuses the send (`RejectedError`), `'reject-publish-dlx'` refuses the send and still puts the message into the
   * dead-letter queue. A classic queue dead-letters at most once: a server that fails at that moment loses the dead letter.
   * @defaultValue 'drop-head', the server's own
   */
  readonly overflow?: 'drop-head' | 'reject-publish' | 'reject-publish-dlx' | undefined;
  /** The highest priority that the queue distinguishes, 1 to 255; more than 10 is wasteful. */
  readonly maxPriority?: number | undefined;
  readonly deliveryLimit?: never | undefined;
}

/**
 * A log that keeps its messages after they are read. Each consumer reads all of it, from the `offset` in its options onwards,
 * and keeps its own position: see `ConsumerOptions`.
 *
 * A stream cannot requeue. A failed message is handled again in place, after the delay of the retry policy: with a
 * `concurrency` of 1 all others wait for it; with a higher one, those already delivered overtake it. When a message is out of
 * attempts, given up on or invalid, a copy of it goes to the dead-letter queue (with `deadLetter: false` nowhere), and the
 * consumer continues. The consumer counts the attempts, also across reconnects; a new consumer starts again at 1.
 *
 * Age and segments are limited through `arguments`, such as `{ 'x-max-age': '7D' }`: a number and Y, M, D, h, m or s.
 */
export interface StreamQueueOptions<C extends CodecName = 'json', Body = unknown>
  extends CommonQueueOptions<C, Body> {
  readonly type: 'stream';
  readonly durable?: true | undefined;
  readonly exclusive?: false | undefined;
  readonly autoDelete?: false | undefined;
  /**
   * The most bytes that the stream keeps. The oldest messages go first, in whole segments of 500 MB unless `arguments` say
   * otherwise.
   */
  readonly maxLengthBytes?: number | undefined;
  readonly maxLength?: never | undefined;
  readonly messageTtlMs?: never | undefined;
  readonly expiresMs?: never | undefined;
  readonly overflow?: never | undefined;
  readonly maxPriority?: never | undefined;
  readonly singleActiveConsumer?: never | undefined;
  readonly deliveryLimit?: never | undefined;
}

/** The options of `queue()`. */
export type QueueOptions<C extends CodecName = 'json', Body = unknown> =
  | QuorumQueueOptions<C, Body>
  | ClassicQueueOptions<C, Body>
  | StreamQueueOptions<C, Body>;

/** The retry policy of a queue with every default filled in. */
export interface RetryPolicy {
  /** How many times the handler runs in total. */
  readonly attempts: number;
  readonly initialDelayMs: number;
  readonly factor: number;
  readonly maxDelayMs: number;
  readonly jitter: boolean;
  /** Decides whether another attempt makes sense; undefined: it always does. */
  readonly retryIf: ((error: unknown, message: Pick<FailedMessage, 'id' | 'attempt'>) => boolean) | undefined;
}

/** A queue, as data: its name, its schema and how it is declared. Create one with `queue()`; share it between programs. */
export interface QueueContract<S extends Schema = Schema> {
  readonly kind: 'queue';
  readonly name: string;
  readonly schema: S;
  readonly type: QueueType;
  readonly codec: CodecName;
  /** Content types of other clients that are decoded with this codec. */
  readonly contentTypes: ContentTypes;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly bindings: readonly Binding[];
  readonly retry: RetryPolicy;
  /** The name of the dead-letter queue; undefined if there is none. */
  readonly deadLetter: string | undefined;
  /** The contract of the dead-letter queue, if it was given as a contract. */
  readonly deadLetterContract: QueueContract | undefined;
  readonly deliveryLimit: number | undefined;
  readonly declare: boolean | 'passive';
  /** Every argument that the queue is declared with. */
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** The exchange types: routing by pattern, by exact key, to every bound queue, or by headers. */
export type ExchangeType = 'topic' | 'direct' | 'fanout' | 'headers';

/** The options of a queue that takes its schema and codec from its exchange. */
export type BoundQueueOptions<Body = unknown> =
  QueueOptions<'json', Body> extends infer O
    ? O extends unknown
      ? Omit<O, 'codec' | 'contentTypes' | 'bindings'>
      : never
    : never;

/** The options of the private queue of a subscription. */
export interface SubscriptionOptions<Body = unknown>
  extends Pick<
    ClassicQueueOptions<'json', Body>,
    'arguments' | 'maxLength' | 'maxLengthBytes' | 'messageTtlMs' | 'overflow' | 'retry'
  > {
  /** The name of a queue for messages that have failed permanently; `false` drops them. @defaultValue false */
  readonly deadLetter?: string | false | undefined;
}

/** The arguments between the queue's name and its options: a routing key if the exchange type uses one. */
export type BindingArguments<T extends ExchangeType, O = BoundQueueOptions> = T extends 'fanout'
  ? [options?: O]
  : T extends 'headers'
    ? [match: Readonly<Record<string, unknown>>, options?: O]
    : [routingKey: string | readonly string[], options?: O];

/** A private subscription: each of its consumers gets a queue of its own. Create one with `exchange.subscription(…)`. */
export interface SubscriptionContract<S extends Schema = Schema> {
  readonly kind: 'subscription';
  readonly exchange: string;
  readonly schema: S;
  /** @internal The queue of one consumer. */
  toQueue(): QueueContract<S>;
}

/** An exchange, as data. Create one with `exchange()`. */
export interface ExchangeContract<S extends Schema = Schema, T extends ExchangeType = ExchangeType> {
  readonly kind: 'exchange';
  readonly name: string;
  readonly schema: S;
  readonly type: T;
  readonly codec: CodecName;
  readonly contentTypes: ContentTypes;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly alternateExchange: ExchangeContract | string | undefined;
  readonly bindings: readonly Binding[];
  readonly declare: boolean | 'passive';
  readonly arguments: Readonly<Record<string, unknown>>;
  /**
   * Describes a queue that is bound to this exchange: durable, shared by all its consumers, with the exchange's schema.
   *
   * @param name - the queue's name
   * @param args - the routing key (topic: a pattern; several: an array), for a headers exchange the headers to match, for a
   * fanout exchange nothing; then the queue's options
   */
  queue(name: string, ...args: BindingArguments<T, BoundQueueOptions<OutputOf<S>>>): QueueContract<S>;
  /**
   * Describes a private subscription: each consumer gets an exclusive queue of its own, which exists while the consumer is
   * connected and receives every message that is published meanwhile.
   *
   * @param args - as for `queue`; a message that has failed permanently is dropped unless `deadLetter` names a queue
   */
  subscription(...args: BindingArguments<T, SubscriptionOptions<OutputOf<S>>>): SubscriptionContract<S>;
}

/**
 * A request and its response, as data: a name and two schemas. Create one with `procedure()`; share it between programs.
 */
export interface ProcedureContract<Request extends Schema = Schema, Response extends Schema = Schema> {
  readonly kind: 'procedure';
  /** The name of the procedure, and of its queue. */
  readonly name: string;
  readonly request: Request;
  readonly response: Response;
  readonly codec: CodecName;
  /** The queue in which requests wait for a responder. */
  readonly queue: QueueContract<Request>;
}

/** Everything that delayed messages need on the server, as data. Create it with `delays()`. */
export interface DelaysContract {
  readonly kind: 'delays';
  /** The queues and exchanges that receive delayed messages. */
  readonly contracts: readonly Contract[];
}

/** Anything that a broker can declare. */
export type Contract = QueueContract | ExchangeContract;
