import { DEFAULT_CLOSE_TIMEOUT_MS } from '../consumer/consumer.js';
import type { Consumer } from '../consumer/consumer-api.js';
import type { Message } from '../consumer/delivery/message.js';
import type { BatchConsumerOptions } from '../consumer/options/batch-options.js';
import type { ConsumerOptions, HandlerOptions } from '../consumer/options/consumer-options.js';
import type { BatchContext } from '../consumer/workers/batch.js';
import type { BatchWork } from '../consumer/workers/make-worker.js';
import type { BodyOf, InputOf, OutputOf, Schema } from '../contracts/body/schema.js';
import type { DelaysContract } from '../contracts/delays.js';
import type { SubscriptionContract } from '../contracts/exchange.js';
import type { ProcedureContract } from '../contracts/procedure.js';
import type { QueueContract } from '../contracts/queue.js';
import type { Contract } from '../contracts/topology.js';
import { type DeadLetters, deadLettersOf } from '../dead-letters/dead-letters.js';
import { ClosedError } from '../errors.js';
import type { BrokerEvent, BrokerListener } from '../events.js';
import type { Outbox } from '../outbox/outbox.js';
import type { Relay, RelayOptions } from '../outbox/relay.js';
import type { Producer, ProducerOptions } from '../producer/producer.js';
import type { RequestOptions } from '../rpc/requester/request-options.js';
import type { Responder, ResponderOptions } from '../rpc/responder/responder.js';
import { checkOptions, expectDuration, expectSignal } from '../util/checks.js';
import { raceAbort } from '../util/clock.js';
import { onAbort } from '../util/on-abort.js';
import { realTimers } from '../util/timers.js';
import { checkContract } from './administration.js';
import { type Assembly, assemble, shutDown } from './assembly.js';
import type { IdempotentConsumerOptions, InboxConsumerOptions, WithoutGuard } from './guard-options.js';
import { type BrokerHealth, healthOf } from './health.js';
import type { BrokerOptions, CloseOptions } from './options.js';
import type { BrokerState } from './state.js';

const DEFAULT_URL = 'amqp://localhost';

/** After how long without a connection a start is told of. */
const SLOW_START_MS = 2_000;

/**
 * Owns the connections to RabbitMQ: one that publishes and one that consumes, so that an alarm which blocks publishers never
 * stops acknowledgements. Each is opened when it is needed, and again forever after it was lost.
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
   * Makes a broker without any I/O; {@link Broker.connect} and the first use connect it.
   *
   * @param args - the URL and the options. The URL: `amqp:` or `amqps:`, or a list of them: the hosts of a cluster, tried in random order. `memory:` is a broker
   * inside this process, of this `Broker` alone; `memory://name` one that all of this process share, for as long as it lives.
   * With `?as=3.13` or `?as=4.0` it behaves as that version of RabbitMQ instead of 4.3, and with
   * `?defaultQueueType=quorum` as a virtual host with that default. A malformed URL is reported by the promise of `connect`
   * @throws ConfigurationError for an unknown option or a value out of range
   */
  constructor(...args: [url?: string | readonly string[] | undefined, options?: BrokerOptions | undefined]) {
    this.#parts = assemble(args.length === 0 ? DEFAULT_URL : args[0], args[1]);
    const { signal } = this.#parts.options;
    this.#ignoreSignal = signal && onAbort(signal, () => void this.close());
    if (signal?.aborted) void this.close();
  }

  /**
   * Makes a broker and connects it. Keeps trying for `startupTimeoutMs`, and rejects at once where trying again cannot help.
   *
   * @param args - the URL and the options. The URL: `amqp:` or `amqps:`, or a list of them; `amqp://localhost` by default
   * @throws ConnectionError naming every host that was tried and why it failed: CONNECTION_FAILED after the time is over;
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
   * Connects. Resolves when the first connection is open; at once when it is already. Can be called again after it has failed.
   *
   * @throws ClosedError after `close`; the others as {@link Broker.connect}
   */
  async connect(): Promise<void> {
    const { signal } = this.#parts.options;
    signal?.throwIfAborted();
    if (this.#life !== 'open') throw new ClosedError('The broker is closed');
    const slow = realTimers.setTimeout(() => this.#tellOfSlowStart(), SLOW_START_MS).unref();
    try {
      await raceAbort(this.#parts.connections.publish.link(), signal);
    } finally {
      realTimers.clearTimeout(slow);
    }
  }

  /** What the broker is doing. */
  get state(): BrokerState {
    return this.#parts.connections.state(this.#life);
  }

  /**
   * Calls the listener for each event of this name. What a listener throws is logged and breaks nothing.
   *
   * @throws ConfigurationError for an unknown event, or a listener that is no function
   */
  on<E extends BrokerEvent>(event: E, listener: BrokerListener<E>): this {
    this.#parts.events.on(event, listener);
    return this;
  }

  /** Calls the listener no more. */
  off<E extends BrokerEvent>(event: E, listener: BrokerListener<E>): this {
    this.#parts.events.off(event, listener);
    return this;
  }

  /** How everything is. Cheap; never throws. */
  health(): BrokerHealth {
    const { consumerHealth, producerHealth, relayHealth } = this.#parts.registry;
    return healthOf(this.#parts.connections.observe(), consumerHealth, producerHealth, relayHealth);
  }

  /**
   * A producer for a queue or an exchange. Does no I/O; the first send declares what the contract says. It is a light handle:
   * make one in each request, or keep it. Those of one contract share their channel, window, buffer and options. Made after the
   * broker was closed, it rejects every send with `ClosedError`.
   *
   * @throws ConfigurationError for a wrong contract or option, or an option with another value than one of the same contract has
   */
  producer<C extends Contract>(contract: C, options: ProducerOptions = {}): Producer<C> {
    checkContract('producer', contract);
    const producer = this.#parts.producers.producer(contract, options);
    return producer as unknown as Producer<C>;
  }

  /**
   * A consumer of a queue, or of a private subscription to an exchange, with a handler: a message is acknowledged after the
   * handler's promise resolves. When it rejects, the contract's retry policy decides. Starts by itself.
   *
   * @throws ConfigurationError for a wrong contract, handler or option
   */
  consumer<C extends QueueContract | SubscriptionContract>(
    contract: C,
    handler: (message: Message<BodyOf<C>>) => unknown,
    options?: HandlerOptions<BodyOf<C>> & WithoutGuard,
  ): Consumer<BodyOf<C>>;
  /**
   * A consumer whose handler runs inside a transaction that first records the message, and gets that transaction: what it
   * writes through it is written once. The message is acknowledged after the commit, and rolled back when the handler fails.
   *
   * @throws ConfigurationError for a wrong contract, handler or option
   */
  consumer<S extends Schema, Tx>(
    contract: QueueContract<S>,
    handler: (message: Message<OutputOf<S>>, tx: Tx) => unknown,
    options: InboxConsumerOptions<S, Tx>,
  ): Consumer<OutputOf<S>>;
  /**
   * A consumer with a handler, and a store that remembers which messages were handled: one that comes again does not run
   * again, unless the process crashed between its effect and the note of it.
   *
   * @throws ConfigurationError for a wrong contract, handler or option
   */
  consumer<S extends Schema>(
    contract: QueueContract<S>,
    handler: (message: Message<OutputOf<S>>) => unknown,
    options: IdempotentConsumerOptions<S>,
  ): Consumer<OutputOf<S>>;
  /**
   * A consumer of a queue for `for await` loops: each message is acknowledged when the loop asks for the next one. Leaving the
   * loop gives the message in hand back, as a failed attempt unless it has a verdict, and the unseen ones uncounted. Starts by
   * itself.
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
   * A consumer whose handler gets many messages at once: up to `size`, and fewer when no more have come within `maxWaitMs` of
   * the first. They are acknowledged together after the handler's promise resolves, but those that it gave a verdict of their
   * own. When it rejects, the retry policy decides about each message without a verdict. Invalid messages never reach it. When
   * the consumer closes, running batches end, and one that is still being gathered goes back to the queue.
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
   * The messages of a queue that could not be handled: look at them, put them back, remove them. Does no I/O.
   *
   * @throws ConfigurationError for anything but a queue's contract, or for one with `deadLetter: false`
   */
  deadLetters<C extends QueueContract>(contract: C): DeadLetters<C['schema']> {
    return deadLettersOf(contract, this.#parts.office);
  }

  /**
   * Answers the requests of a procedure: each is validated, and what the handler returns is validated too, published to the
   * requester and confirmed; then the request is acknowledged. Declares the procedure's queue. Starts by itself.
   *
   * A handler that throws, takes too long or returns what does not fit the schema answers with an error, which the requester
   * gets as `RemoteError`: message and code, no stack. So do a request that does not fit its schema, and `DeadLetter` and
   * `RetryLater` (there is no dead-letter queue, and it is the requester who tries again). A request without a `replyTo` is
   * handled and not answered. When this process dies in mid-work, another responder gets the request.
   *
   * @throws ConfigurationError for a wrong contract, handler or option
   */
  responder<Request extends Schema, Response extends Schema>(
    procedure: ProcedureContract<Request, Response>,
    handler: (message: Message<OutputOf<Request>>) => InputOf<Response> | PromiseLike<InputOf<Response>>,
    options?: ResponderOptions,
  ): Responder {
    return this.#parts.procedures.responder(procedure, handler as (message: Message) => unknown, options);
  }

  /**
   * Asks a responder, and resolves with its validated answer. The request is sent once: it is for the caller to decide
   * whether to ask again.
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
   * Declares what the contracts say, ahead of use. Safe to repeat. `delays(…)` stands for what delayed messages need.
   *
   * @throws TopologyError naming the argument that differs; ConnectionError, TimeoutError (30 s), ClosedError
   */
  declare(...contracts: readonly (Contract | ProcedureContract | DelaysContract)[]): Promise<void> {
    return this.#parts.administration.declare(contracts);
  }

  /**
   * How many messages of a queue are ready for delivery, and how many consumers it has; of a stream RabbitMQ
   * tells those that it keeps, some seconds late, and no consumers.
   *
   * @throws TopologyError NOT_FOUND when there is no such queue; ConnectionError, TimeoutError (30 s), ClosedError
   */
  stats(
    queue: QueueContract | ProcedureContract | string,
  ): Promise<{ readonly messages: number; readonly consumers: number }> {
    return this.#parts.administration.stats(queue);
  }

  /**
   * Removes every message that is ready for delivery. Resolves with their number. A stream cannot be emptied.
   *
   * @throws TopologyError NOT_FOUND when there is no such queue; ConnectionError, TimeoutError (30 s), ClosedError
   */
  purge(queue: QueueContract | ProcedureContract | string): Promise<number> {
    return this.#parts.administration.purge(queue);
  }

  /**
   * Deletes a queue, also that of a procedure, with its messages, or an exchange. Its dead-letter queue stays. Harmless when
   * it does not exist.
   *
   * @throws TopologyError when the server refuses; ConnectionError, TimeoutError (30 s), ClosedError
   */
  delete(contract: Contract | ProcedureContract): Promise<void> {
    return this.#parts.administration.delete(contract);
  }

  /**
   * Ends everything in order: stops deliveries, gives back unseen messages, lets running handlers end, flushes their
   * acknowledgements, settles pending sends, closes the connections. At the deadline it aborts the handlers' signals, settles
   * the sends with `ClosedError` and drops the sockets. Resolves also then; never rejects. The same promise each time. Nothing
   * keeps the process alive afterwards. A handler that awaits it waits for itself, up to the deadline: call it without `await`.
   *
   * @throws ConfigurationError at once, for an unknown option or a value out of range
   */
  close(options: CloseOptions = {}): Promise<{ readonly clean: boolean }> {
    checkOptions('broker.close', options, { timeoutMs: expectDuration(0), signal: expectSignal });
    this.#closing ??= this.#shutDown(options.timeoutMs ?? DEFAULT_CLOSE_TIMEOUT_MS, options.signal);
    return this.#closing;
  }

  /** The same as {@link Broker.close}, at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #tellOfSlowStart(): void {
    const { events, options, connections } = this.#parts;
    if (!events.isUnheard('connect-failed') || this.#life !== 'open') return;
    const { startupTimeoutMs } = options;
    const limit = Number.isFinite(startupTimeoutMs)
      ? `for ${startupTimeoutMs / 1_000} s in all`
      : 'without end';
    const { state } = connections.publish;
    const why = 'error' in state && state.error ? `: ${state.error.message}` : '';
    const text = `Leveret: no connection to RabbitMQ after ${SLOW_START_MS / 1_000} s${why}`;
    events.warn('LEVERET_CONNECTING', 'start', `${text}. It goes on trying ${limit} ('startupTimeoutMs')`);
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
