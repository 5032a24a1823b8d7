import type { Consumer } from '../consumer/consumer-api.js';
import type { Message } from '../consumer/delivery/message.js';
import type { BatchConsumerOptions, BatchContext, BatchWork } from '../consumer/options/batch-options.js';
import type { ConsumerOptions, HandlerOptions } from '../consumer/options/consumer-options.js';
import type { BodyOf, InputOf, OutputOf, Schema } from '../contracts/body/schema.js';
import type {
  Contract,
  DelaysContract,
  ProcedureContract,
  QueueContract,
  SubscriptionContract,
} from '../contracts/types.js';
import { type DeadLetters, deadLettersOf } from '../dead-letters/dead-letters.js';
import { ClosedError } from '../errors.js';
import type { BrokerEvent, BrokerListener } from '../events.js';
import type { Outbox } from '../outbox/outbox.js';
import type { Relay, RelayOptions } from '../outbox/relay.js';
import type { Producer } from '../producer/producer.js';
import type { ProducerOptions } from '../producer/producer-options.js';
import type { RequestOptions } from '../rpc/requester/request-options.js';
import type { Responder, ResponderOptions } from '../rpc/responder/responder.js';
import { checkOptions, expectDuration, expectSignal } from '../util/checks.js';
import { raceAbort } from '../util/clock.js';
import { DEFAULT_CLOSE_TIMEOUT_MS } from '../util/limits.js';
import { onAbort } from '../util/on-abort.js';
import type { MaybePromise } from '../util/promises.js';
import { checkContract } from './administration.js';
import { type Assembly, assemble, shutDown } from './assembly.js';
import type { IdempotentConsumerOptions, InboxConsumerOptions, WithoutGuard } from './guard-options.js';
import { type BrokerHealth, healthOf } from './health.js';
import type { BrokerOptions, CloseOptions } from './options.js';
import type { BrokerState } from './state.js';

const DEFAULT_URL = 'amqp://localhost';

/**
 * Owns the connections to RabbitMQ: one that publishes and one that consumes, so that an alarm which blocks publishers never
 * stops acknowledgements. Each opens on first use, and reconnects indefinitely once the broker was connected. The first
 * connection is tried for `startupTimeoutMs`: then the consumers that wait for it close with its error.
 *
 * @example
 * ```ts
 * await using broker = await Broker.connect('amqp://localhost', { name: 'billing' });
 * ```
 */
export class Broker implements AsyncDisposable {
  readonly #parts: Assembly;
  readonly #ignoreSignal: (() => void) | undefined;
  #life: 'open' | 'closing' | 'closed' = 'open';
  #closing: Promise<{ clean: boolean }> | undefined;

  /**
   * Creates a broker without any I/O; {@link Broker.connect} or the first use connects it.
   *
   * @param args - the URL and the options. The URL: `amqp:` or `amqps:`, or a list of them: the hosts of a cluster, tried in
   * random order. `memory:` is a broker inside this process, private to this `Broker`; `memory://name` is one that the whole
   * process shares for its lifetime. With `?as=3.13` or `?as=4.0` it behaves as that version of RabbitMQ instead of 4.3, and
   * with `?defaultQueueType=quorum` as a virtual host with that default. A malformed URL is reported by the promise of
   * `connect`
   * @throws ConfigurationError for an unknown option or a value out of range
   */
  constructor(...args: [url?: string | readonly string[] | undefined, options?: BrokerOptions | undefined]) {
    this.#parts = assemble(args.length === 0 ? DEFAULT_URL : args[0], args[1]);
    const { signal } = this.#parts.options;
    this.#ignoreSignal = signal && onAbort(signal, () => void this.close());
    if (signal?.aborted) void this.close();
  }

  /**
   * Creates a broker and connects it. Keeps trying for `startupTimeoutMs`, and rejects at once if another attempt cannot
   * help.
   *
   * @param args - the URL and the options. The URL: `amqp:` or `amqps:`, or a list of them; `amqp://localhost` by default
   * @throws ConnectionError that names every host that was tried and why it failed: CONNECTION_FAILED after the time limit;
   * ACCESS_REFUSED, VHOST_NOT_FOUND, TLS_REFUSED or INVALID_URL at once
   * @throws ConfigurationError for an unknown option or a value out of range; the reason of the `signal` when that aborts
   */
  static async connect(
    ...args: [url?: string | readonly string[] | undefined, options?: BrokerOptions | undefined]
  ): Promise<Broker> {
    const broker = new Broker(...args);
    try {
      await broker.connect();
      return broker;
    } catch (error) {
      await broker.close();
      throw error;
    }
  }

  /**
   * Connects. Resolves when the first connection is open, or at once if it is already. May be called again after it failed.
   *
   * @throws ClosedError after `close`; otherwise as {@link Broker.connect}
   */
  async connect(): Promise<void> {
    const { signal } = this.#parts.options;
    signal?.throwIfAborted();
    if (this.#life !== 'open') throw new ClosedError('The broker is closed');
    await raceAbort(this.#parts.connections.publish.link(), signal);
  }

  /** What the broker is doing at the moment. */
  get state(): BrokerState {
    return this.#parts.connections.state(this.#life);
  }

  /**
   * Adds a listener for an event. An error thrown by a listener is logged and has no other effect.
   *
   * @throws ConfigurationError for an unknown event, or a listener that is not a function
   */
  on<E extends BrokerEvent>(event: E, listener: BrokerListener<E>): this {
    this.#parts.events.on(event, listener);
    return this;
  }

  /** Removes a listener. */
  off<E extends BrokerEvent>(event: E, listener: BrokerListener<E>): this {
    this.#parts.events.off(event, listener);
    return this;
  }

  /** A snapshot of connections, consumers and producers. Cheap; never throws. */
  health(): BrokerHealth {
    const { consumerHealth, producerHealth, relayHealth } = this.#parts.registry;
    return healthOf(this.#parts.connections.observe(), consumerHealth, producerHealth, relayHealth);
  }

  /**
   * Creates a producer for a queue or an exchange. Does no I/O; the first send declares the contract. A producer is a light
   * handle: create one per request, or keep it. All producers of one contract share their channel, window, buffer and
   * options. Created after the broker was closed, it rejects every send with `ClosedError`.
   *
   * @throws ConfigurationError for a wrong contract or option, or an option whose value differs from that of another producer
   * of the contract
   */
  producer<C extends Contract>(contract: C, options: ProducerOptions = {}): Producer<C> {
    checkContract('producer', contract);
    const producer = this.#parts.producers.producer(contract, options);
    return producer as unknown as Producer<C>;
  }

  /**
   * Creates a consumer of a queue, or of a private subscription to an exchange, with a handler. A message is acknowledged
   * after the handler's promise resolves. If the promise rejects, the contract's retry policy decides. The consumer starts by
   * itself.
   *
   * @throws ConfigurationError for a wrong contract, handler or option
   */
  consumer<C extends QueueContract | SubscriptionContract>(
    contract: C,
    handler: (message: Message<BodyOf<C>>) => unknown,
    options?: HandlerOptions<BodyOf<C>> & WithoutGuard,
  ): Consumer<BodyOf<C>>;
  /**
   * Creates a consumer whose handler runs inside a database transaction. The transaction first records the message, and the
   * handler receives it: what the handler writes through it is written once. The message is acknowledged after the commit; if
   * the handler fails, the transaction is rolled back.
   *
   * @throws ConfigurationError for a wrong contract, handler or option
   */
  consumer<S extends Schema, Tx>(
    contract: QueueContract<S>,
    handler: (message: Message<OutputOf<S>>, tx: Tx) => unknown,
    options: InboxConsumerOptions<S, Tx>,
  ): Consumer<OutputOf<S>>;
  /**
   * Creates a consumer with a handler and a store that remembers handled messages: a message that is delivered again is not
   * handled again, unless the process crashed after the handler's effect and before the store recorded it.
   *
   * @throws ConfigurationError for a wrong contract, handler or option
   */
  consumer<S extends Schema>(
    contract: QueueContract<S>,
    handler: (message: Message<OutputOf<S>>) => unknown,
    options: IdempotentConsumerOptions<S>,
  ): Consumer<OutputOf<S>>;
  /**
   * Creates a consumer of a queue for `for await` loops: each message is acknowledged when the loop asks for the next one.
   * Leaving the loop requeues the current message as a failed attempt, unless it has been settled, and prefetched ones
   * without counting an attempt. The consumer starts by itself.
   *
   * @throws ConfigurationError for a wrong contract or option
   */
  consumer<C extends QueueContract | SubscriptionContract>(
    contract: C,
    options?: ConsumerOptions,
  ): Consumer<BodyOf<C>>;
  consumer(
    given: QueueContract | SubscriptionContract,
    ...rest: [
      handlerOrOptions?: ((message: Message, tx: never) => unknown) | HandlerOptions | undefined,
      options?: object | undefined,
    ]
  ): Consumer {
    return this.#parts.consumers.consumer(given, ...rest);
  }

  /**
   * Creates a consumer whose handler receives many messages at once: up to `size`, or fewer if no more have arrived within
   * `maxWaitMs` of the first. They are acknowledged together once the handler resolves, except those that it settled itself.
   * If the handler rejects, the retry policy decides for each message that it has not settled. Invalid messages never reach
   * the handler. When the consumer closes, running batches finish, and an incomplete one is requeued.
   *
   * @throws ConfigurationError for a wrong contract, handler or option
   */
  batchConsumer<C extends QueueContract | SubscriptionContract>(
    contract: C,
    handler: (messages: readonly Message<BodyOf<C>>[], batch: BatchContext) => unknown,
    options?: BatchConsumerOptions,
  ): Consumer<BodyOf<C>> {
    return this.#parts.consumers.batchConsumer(contract, handler as BatchWork['onBatch'], options);
  }

  /**
   * Sends the committed rows of an outbox, at least once each, those with one key in order. Starts by itself. Run it in any
   * number of processes. `close` of the broker closes it first.
   *
   * @throws ConfigurationError for a wrong outbox, `db` or option
   *
   * @example
   * ```ts
   * const outbox = postgresOutbox([emails, orders]);
   * broker.relay(outbox, { db: sql });
   * ```
   */
  relay(outbox: Outbox, options: RelayOptions): Relay {
    return this.#parts.relays.relay(outbox, options);
  }

  /**
   * The dead letters of a queue: list, replay or remove them. Does no I/O.
   *
   * @throws ConfigurationError for anything but a queue's contract, or for one with `deadLetter: false`
   */
  deadLetters<C extends QueueContract>(contract: C): DeadLetters<C['schema']> {
    return deadLettersOf(contract, this.#parts.deadLetterOperations);
  }

  /**
   * Answers the requests of a procedure. Each request is validated. The handler's result is validated too, published to the
   * requester and confirmed; then the request is acknowledged. Declares the procedure's queue. The responder starts by
   * itself.
   *
   * If the handler throws, times out or returns a value that does not match the schema, the requester gets a `RemoteError`
   * with a message and a code, but no stack. The same happens for a request that does not match its schema, and for
   * `DeadLetter` and `RetryLater`: there is no dead-letter queue, and retrying is up to the requester. A request without a
   * `replyTo` is handled and not answered. If this process dies while it handles a request, another responder receives the
   * request.
   *
   * @throws ConfigurationError for a wrong contract, handler or option
   */
  responder<Request extends Schema, Response extends Schema>(
    procedure: ProcedureContract<Request, Response>,
    handler: (message: Message<OutputOf<Request>>) => MaybePromise<InputOf<Response>>,
    options?: ResponderOptions,
  ): Responder {
    return this.#parts.procedures.responder(procedure, handler as (message: Message) => unknown, options);
  }

  /**
   * Sends a request and resolves with the validated response. The request is sent once: retrying is up to the
   * caller.
   *
   * @throws ValidationError, MessageTooLargeError, ConfigurationError: nothing was sent
   * @throws UnroutableError no responder has declared the procedure's queue; RejectedError the queue is full
   * @throws RemoteError the responder failed; with `remoteCode: 'INVALID_BODY'` the request or the answer did not fit its schema
   * @throws TimeoutError after `timeoutMs` (30 000 by default), saying so when no responder is running
   * @throws ConnectionError the connection was lost before the answer came, or could not be made
   * @throws ClosedError, BufferFullError (10 000 requests, or 64 MiB, wait already); the reason of the `signal` when that aborts
   *
   * @example
   * ```ts
   * const { price } = await broker.request(quote, { sku: 'A1' }, { timeoutMs: 5_000 });
   * ```
   */
  request<Request extends Schema, Response extends Schema>(
    procedure: ProcedureContract<Request, Response>,
    body: InputOf<Request>,
    options?: RequestOptions,
  ): Promise<OutputOf<Response>> {
    return this.#parts.procedures.request(procedure, body, options) as Promise<OutputOf<Response>>;
  }

  /**
   * Declares the contracts on the server, ahead of their first use. Safe to repeat. `delays(…)` stands for everything that
   * delayed messages need.
   *
   * @throws TopologyError that names the argument that differs; ConnectionError, TimeoutError (30 s), ClosedError
   */
  declare(...contracts: readonly (Contract | ProcedureContract | DelaysContract)[]): Promise<void> {
    return this.#parts.administration.declare(contracts);
  }

  /**
   * Counts the messages of a queue that are ready for delivery, without those that are delivered and not acknowledged, and its
   * consumers. A consumer with the prefetch `'auto'` may count as several. For a stream RabbitMQ reports all stored messages, a
   * few seconds late, and no consumers.
   *
   * @throws TopologyError NOT_FOUND when there is no such queue; ConnectionError, TimeoutError (30 s), ClosedError
   */
  stats(
    queue: QueueContract | ProcedureContract | string,
  ): Promise<{ readonly messages: number; readonly consumers: number }> {
    return this.#parts.administration.stats(queue);
  }

  /**
   * Removes every message that is ready for delivery. Resolves with the number of removed messages. A stream cannot be
   * purged.
   *
   * @throws TopologyError NOT_FOUND when there is no such queue; ConnectionError, TimeoutError (30 s), ClosedError
   */
  purge(queue: QueueContract | ProcedureContract | string): Promise<number> {
    return this.#parts.administration.purge(queue);
  }

  /**
   * Deletes a queue (also that of a procedure) with its messages, or an exchange. The dead-letter queue stays. Does nothing
   * if it does not exist.
   *
   * @throws TopologyError when the server refuses; ConnectionError, TimeoutError (30 s), ClosedError
   */
  delete(contract: Contract | ProcedureContract): Promise<void> {
    return this.#parts.administration.delete(contract);
  }

  /**
   * Shuts down in order: stops deliveries, requeues unseen messages, lets running handlers finish, flushes their
   * acknowledgements, settles pending sends and closes the connections. At the deadline it aborts the handlers' signals,
   * settles the sends with `ClosedError` and drops the sockets. It resolves in that case, too; it never rejects. Every call
   * returns the same promise. Nothing keeps the process alive afterwards. A handler that awaits `close` waits for itself, up
   * to the deadline: call it without `await`.
   *
   * @throws ConfigurationError at once, for an unknown option or a value out of range
   */
  close(options: CloseOptions = {}): Promise<{ readonly clean: boolean }> {
    checkOptions('broker.close', options, {
      timeoutMs: expectDuration(0, { infinity: true }),
      signal: expectSignal,
    });
    this.#closing ??= this.#shutDown(options.timeoutMs ?? DEFAULT_CLOSE_TIMEOUT_MS, options.signal);
    return this.#closing;
  }

  /** Calls {@link Broker.close} at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #shutDown(timeoutMs: number, signal: AbortSignal | undefined): Promise<{ clean: boolean }> {
    this.#life = 'closing';
    this.#ignoreSignal?.();
    const clean = await shutDown(this.#parts, timeoutMs, signal);
    this.#life = 'closed';
    this.#parts.events.clear();
    return { clean };
  }
}
