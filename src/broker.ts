import { Administration, checkContract } from './administration.js';
import { type BrokerHealth, healthOf } from './broker-health.js';
import {
  type BrokerOptions,
  type CloseOptions,
  type ResolvedBrokerOptions,
  resolveBrokerOptions,
  resolveUrls,
} from './broker-options.js';
import type { BrokerState } from './broker-state.js';
import { type Clock, orAborted, systemClock, withDeadline } from './clock.js';
import { Connections } from './connections.js';
import type { BatchContext } from './consumer/batch.js';
import type { BatchConsumerOptions } from './consumer/batch-options.js';
import type { Consumer } from './consumer/consumer-api.js';
import { ConsumerFactory } from './consumer/consumer-factory.js';
import type { ConsumerOptions, HandlerOptions } from './consumer/consumer-options.js';
import type { Message } from './consumer/message.js';
import { Republisher } from './consumer/republisher.js';
import type { BatchWork } from './consumer/work.js';
import type { SubscriptionContract } from './contracts/exchange.js';
import type { QueueContract } from './contracts/queue.js';
import type { OutputOf, Schema } from './contracts/schema.js';
import type { Contract } from './contracts/topology.js';
import { DeadLetterOffice } from './dead-letters/dead-letter-office.js';
import { type DeadLetters, deadLettersOf } from './dead-letters/dead-letters.js';
import { ClosedError, TimeoutError } from './errors.js';
import { type BrokerEvent, type BrokerListener, Events } from './events.js';
import { type Internals, internalsOf } from './internals.js';
import { Members } from './members.js';
import { checkOptions, isDuration, isSignal } from './options.js';
import { Outbox } from './producer/outbox.js';
import { type Producer, type ProducerOptions, QueueProducer } from './producer/producer.js';
import { makeTransport } from './transport/select.js';

/**
 * Owns the connections to RabbitMQ: one that publishes and one that consumes, so that an alarm which blocks publishers never
 * stops acknowledgements. Each is opened when it is needed, and again for ever after it was lost.
 *
 * @example
 * ```ts
 * await using broker = await Broker.connect('amqp://localhost', { name: 'billing' });
 * ```
 */
export class Broker implements AsyncDisposable {
  readonly #options: ResolvedBrokerOptions;
  readonly #clock: Clock;
  readonly #internals: Internals | undefined;
  readonly #events: Events;
  readonly #connections: Connections;
  readonly #administration: Administration;
  readonly #members = new Members();
  readonly #consumers: ConsumerFactory;
  readonly #office: DeadLetterOffice;
  #life: 'open' | 'closing' | 'closed' = 'open';
  #closing: Promise<{ clean: boolean }> | undefined;

  /**
   * Makes a broker without any I/O; {@link Broker.connect} and the first use connect it.
   *
   * @param url - `amqp:` or `amqps:`, or a list of them: the hosts of a cluster, tried in random order. `memory:` is a broker
   * inside this process, of this `Broker` alone; `memory://name` one that all of this process share, for as long as it lives.
   * With `?as=3.13` or `?as=4.0` it behaves as that version of RabbitMQ instead of 4.3. A malformed URL is reported by the
   * promise of `connect`
   * @throws ConfigurationError for an unknown option or a value out of range
   */
  constructor(url?: string | readonly string[], options?: BrokerOptions) {
    this.#options = resolveBrokerOptions(options);
    this.#internals = internalsOf(options);
    this.#clock = this.#internals?.clock ?? systemClock;
    this.#events = new Events(this.#options.logger);
    this.#connections = new Connections({
      transport: this.#internals?.transport ?? makeTransport(resolveUrls(url), this.#options, this.#clock),
      options: this.#options,
      clock: this.#clock,
      events: this.#events,
      onUnblocked: () => this.#members.flush(),
    });
    this.#administration = new Administration(this.#connections, this.#clock);
    const connection = this.#connections.publish;
    const republished = new Outbox({
      target: 'the dead-letter queue',
      connection,
      clock: this.#clock,
      contract: undefined,
      maxInFlight: 1_000,
      maxBuffered: 10_000,
    });
    this.#members.addPublisher(republished);
    this.#consumers = new ConsumerFactory(
      {
        connection: this.#connections.consume,
        republisher: new Republisher(republished, connection),
        clock: this.#clock,
        events: this.#events,
        maxBodyBytes: this.#options.maxBodyBytes,
        onOutcome: this.#internals?.onOutcome,
        onConsumerActive: (consumer) => this.#members.addConsumer(consumer),
        onConsumerIdle: (consumer) => this.#members.consumerIdle(consumer),
      },
      this.#internals,
    );
    const { signal, maxBodyBytes } = this.#options;
    this.#office = this.#members.addTask(new DeadLetterOffice(this.#connections, this.#clock, maxBodyBytes));
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (signal?.aborted) void this.close();
  }

  /**
   * Makes a broker and connects it. Keeps trying for `startupTimeoutMs`, and rejects at once where trying again can not help.
   *
   * @param url - `amqp:` or `amqps:`, or a list of them; `amqp://localhost` by default
   * @throws ConnectionError naming every host that was tried and why it failed: CONNECTION_FAILED after the time is over;
   * ACCESS_REFUSED, VHOST_NOT_FOUND, TLS_REFUSED or INVALID_URL at once
   * @throws ConfigurationError for an unknown option or a value out of range; the reason of the `signal` when that aborts
   */
  static async connect(url?: string | readonly string[], options?: BrokerOptions): Promise<Broker> {
    const broker = new Broker(url, options);
    try {
      await broker.connect();
      return broker;
    } catch (error) {
      await broker.close();
      throw error;
    }
  }

  /** Connects. Resolves when the first connection is open; at once when it is already. See {@link Broker.connect}. */
  async connect(): Promise<void> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    await orAborted(this.#connections.publish.link(), signal);
  }

  /** What the broker is doing. */
  get state(): BrokerState {
    return this.#connections.state(this.#life);
  }

  /** Calls the listener for each event of this name. What a listener throws is logged and breaks nothing. */
  on<E extends BrokerEvent>(event: E, listener: BrokerListener<E>): this {
    this.#events.on(event, listener);
    return this;
  }

  /** Calls the listener no more. */
  off<E extends BrokerEvent>(event: E, listener: BrokerListener<E>): this {
    this.#events.off(event, listener);
    return this;
  }

  /** How everything is. Cheap; never throws. */
  health(): BrokerHealth {
    const { consumerHealth, producerHealth } = this.#members;
    return healthOf(this.#connections.observe(), consumerHealth, producerHealth);
  }

  /**
   * A producer for a queue or an exchange. Does no I/O; the first send declares what the contract says. Make one and keep it:
   * each has a channel of its own.
   *
   * @throws ConfigurationError for a wrong contract or option
   */
  producer<C extends Contract>(contract: C, options: ProducerOptions = {}): Producer<C> {
    checkContract('producer', contract);
    const producer = new QueueProducer(contract, options, {
      connection: this.#connections.publish,
      clock: this.#clock,
      maxBodyBytes: this.#options.maxBodyBytes,
      onProducerClosed: (closed) => this.#members.removeProducer(closed),
    });
    this.#members.addProducer(producer);
    return producer as unknown as Producer<C>;
  }

  /**
   * A consumer of a queue, or of a private subscription to an exchange, with a handler: the message is acknowledged after the handler's promise resolves. When it rejects,
   * the contract's retry policy decides. Starts by itself.
   *
   * @throws ConfigurationError for a wrong contract, handler or option
   */
  consumer<S extends Schema>(
    contract: QueueContract<S> | SubscriptionContract<S>,
    handler: (message: Message<OutputOf<S>>) => unknown,
    options?: HandlerOptions<OutputOf<S>>,
  ): Consumer<OutputOf<S>>;
  /**
   * A consumer of a queue for `for await` loops: each message is acknowledged when the loop asks for the next one. Leaving the
   * loop gives the message in hand back, as a failed attempt unless it has a verdict, and the unseen ones uncounted. Starts by
   * itself.
   *
   * @throws ConfigurationError for a wrong contract or option
   */
  consumer<S extends Schema>(
    contract: QueueContract<S> | SubscriptionContract<S>,
    options?: ConsumerOptions,
  ): Consumer<OutputOf<S>>;
  consumer(
    given: QueueContract | SubscriptionContract,
    handlerOrOptions?: ((message: Message) => unknown) | HandlerOptions,
    maybeOptions?: HandlerOptions,
  ): Consumer {
    return this.#consumers.consumer(given, handlerOrOptions, maybeOptions);
  }

  /**
   * A consumer whose handler gets many messages at once: up to `size`, and fewer when no more have come within `maxWaitMs` of
   * the first. They are acknowledged together after the handler's promise resolves, but those that it has given a verdict of
   * their own: `message.deadLetter()`, `retry()`, `requeue()`, `ack()`. When it rejects, the retry policy decides about each
   * message without a verdict. Invalid messages never reach it. When the consumer closes, running batches end, and one that
   * is still being gathered goes back to the queue.
   *
   * @throws ConfigurationError for a wrong contract, handler or option
   */
  batchConsumer<S extends Schema>(
    contract: QueueContract<S> | SubscriptionContract<S>,
    handler: (messages: readonly Message<OutputOf<S>>[], batch: BatchContext) => unknown,
    options?: BatchConsumerOptions,
  ): Consumer<OutputOf<S>> {
    return this.#consumers.batchConsumer(contract, handler as BatchWork['onBatch'], options);
  }

  /**
   * The messages of a queue that could not be handled: look at them, put them back, remove them. Does no I/O.
   *
   * @throws ConfigurationError for anything but a queue's contract, or for one with `deadLetter: false`
   */
  deadLetters<S extends Schema>(contract: QueueContract<S>): DeadLetters<S> {
    return deadLettersOf(contract, this.#office);
  }

  /**
   * Declares what the contracts say, ahead of use. Safe to repeat.
   *
   * @throws TopologyError naming the argument that differs; ConnectionError, TimeoutError (30 s), ClosedError
   */
  declare(...contracts: readonly Contract[]): Promise<void> {
    return this.#administration.declare(contracts);
  }

  /**
   * How many messages of a queue are ready for delivery, and how many consumers it has.
   *
   * @throws TopologyError NOT_FOUND when there is no such queue; ConnectionError, TimeoutError (30 s), ClosedError
   */
  stats(queue: QueueContract | string): Promise<{ readonly messages: number; readonly consumers: number }> {
    return this.#administration.stats(queue);
  }

  /**
   * Removes every message that is ready for delivery. Resolves with their number.
   *
   * @throws TopologyError NOT_FOUND when there is no such queue; ConnectionError, TimeoutError (30 s), ClosedError
   */
  purge(queue: QueueContract | string): Promise<number> {
    return this.#administration.purge(queue);
  }

  /**
   * Deletes a queue with its messages, or an exchange. Its dead-letter queue stays. Harmless when it does not exist.
   *
   * @throws TopologyError when the server refuses; ConnectionError, TimeoutError (30 s), ClosedError
   */
  delete(contract: Contract): Promise<void> {
    return this.#administration.delete(contract);
  }

  /**
   * Ends everything in order: stops deliveries, gives back unseen messages, lets running handlers end, flushes their
   * acknowledgements, settles pending sends, closes the connections. At the deadline it aborts the handlers' signals, settles
   * the sends with `ClosedError` and drops the sockets. Resolves also then; never rejects. The same promise each time.
   * Afterwards nothing keeps the process alive.
   */
  close(options: CloseOptions = {}): Promise<{ readonly clean: boolean }> {
    checkOptions('broker.close', options, { timeoutMs: isDuration(0), signal: isSignal });
    this.#closing ??= this.#shutDown(options.timeoutMs ?? 30_000, options.signal);
    return this.#closing;
  }

  /** The same as {@link Broker.close}, at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #shutDown(timeoutMs: number, signal: AbortSignal | undefined): Promise<{ clean: boolean }> {
    this.#life = 'closing';
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    let clean = true;
    try {
      const late = () => new TimeoutError(`The broker could not be closed within ${timeoutMs} ms`);
      await orAborted(withDeadline(this.#clock, this.#windDown(), timeoutMs, late), signal);
    } catch {
      clean = false;
      await this.#drop(new ClosedError('The broker was closed before all work was done'));
    }
    this.#life = 'closed';
    this.#events.clear();
    return { clean };
  }

  async #windDown(): Promise<void> {
    await this.#members.close();
    await this.#connections.close();
  }

  async #drop(reason: Error): Promise<void> {
    this.#members.abort(reason);
    await this.#connections.destroy(reason);
  }

  readonly #onAbort = () => void this.close();
}
