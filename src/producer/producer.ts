import { encodeBody, type LaterBody } from '../contracts/body/body.js';
import type { InputOf } from '../contracts/body/schema.js';
import type { Contract } from '../contracts/types.js';
import { traces } from '../diagnostics/channels.js';
import { traceSend } from '../diagnostics/send.js';
import { ClosedError } from '../errors.js';
import type { Connection } from '../transport/connection/connection.js';
import type { Clock } from '../util/clock.js';
import { Condition } from '../util/condition.js';
import { uuid } from '../util/uuid.js';
import { dueInMs, outgoingOf } from './outgoing-message.js';
import { notSetUp, type PendingContent, type Receipt, type SendOwner } from './publisher/pending-send.js';
import { type SendAllArguments, type SendAllResult, sendAll } from './send-all.js';
import { checkDelay } from './send-delay.js';
import { type AnySendOptions, checkSendOptions, type SendArguments } from './send-options.js';
import type { SharedPublisher } from './shared-publisher.js';

/**
 * Sends to one queue or exchange. Created by `broker.producer(contract)`. A producer is a light handle: all producers of one
 * contract share one channel, window and buffer. The channel is closed after a minute without a send, and the next send opens
 * another.
 */
export interface Producer<C extends Contract = Contract> extends AsyncDisposable {
  /** The queue or exchange that the producer sends to. */
  readonly contract: C;
  /** Sends of this producer that are not settled yet. */
  readonly pending: number;
  /**
   * Sends one message. Resolves when the server has confirmed it and a queue has it (to an exchange: when it is confirmed,
   * and with `mandatory: true` taken; with a delay: when a delay queue took it). Sends are pipelined: start many before you
   * wait for the first. They are published in the order of the calls, also where the schema is asynchronous. A send to an
   * exchange waits until the consumers that this broker created before on that exchange are set up.
   *
   * When the connection is lost, the send waits for the next one. A message that was not confirmed is then published again with
   * the same id, so a consumer can receive it twice. A message is never lost once this promise has resolved.
   *
   * @throws ValidationError, MessageTooLargeError, ConfigurationError: nothing was sent
   * @throws UnroutableError no queue took it; RejectedError the server refused it; TopologyError its queue cannot be declared
   * @throws TimeoutError, ClosedError with `maybeDelivered`: false when it is sure that nothing was sent
   * @throws BufferFullError too much waits already; the reason of the `signal` when that aborts
   */
  send(body: InputOf<C['schema']>, ...options: SendArguments<C>): Promise<Receipt>;
  /**
   * Sends every body of an iterable, with up to `maxInFlight` sends in flight. Resolves when all are settled, with those that
   * failed. Rejects with an error of the iterable itself or of `onProgress`, once the sends in flight are settled.
   *
   * @throws ConfigurationError for an unknown option, or for bodies that cannot be iterated: nothing was sent
   */
  sendAll(
    bodies: Iterable<InputOf<C['schema']>> | AsyncIterable<InputOf<C['schema']>>,
    ...options: SendAllArguments<C>
  ): Promise<SendAllResult<InputOf<C['schema']>>>;
  /**
   * Stops accepting sends and resolves once every pending send of this producer has settled. Safe to call twice. Never
   * rejects.
   */
  close(): Promise<void>;
}

/** The parts of a broker that its producers use. */
export interface ProducerHost {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  /** Resolves when the earlier consumers on an exchange are set up. Undefined when all are. */
  setUpOn(exchange: string): Promise<void> | undefined;
}

/** The producer behind {@link Producer}, without its types. */
export class QueueProducer implements Producer, SendOwner {
  readonly contract: Contract;
  readonly #host: ProducerHost;
  readonly #shared: SharedPublisher;
  #pending = 0;
  #isClosed = false;
  readonly #drained = new Condition();
  #closed: Promise<void> | undefined;

  constructor(shared: SharedPublisher, host: ProducerHost) {
    this.contract = shared.contract;
    this.#shared = shared;
    this.#host = host;
    shared.opened();
  }

  get pending(): number {
    return this.#pending;
  }

  send(body: unknown, options?: AnySendOptions): Promise<Receipt> {
    try {
      if (!traces.send.hasSubscribers) return this.#send(body, options);
      const { connection, clock } = this.#host;
      return traceSend(connection.origin, this.contract, options, clock.wallNow(), (traced) =>
        this.#send(body, traced.options, traced.messageId),
      );
    } catch (error) {
      // A getter of the options threw.
      return Promise.reject(error as Error);
    }
  }

  /** @param tracedId - the id that a trace has named, unless the options have one */
  #send(body: unknown, options: AnySendOptions | undefined, tracedId?: string): Promise<Receipt> {
    // Not an async function: a send costs one promise.
    try {
      const { contract } = this;
      const { target, publisher } = this.#shared;
      const { clock } = this.#host;
      if (this.#isClosed) throw this.#closedError();
      checkSendOptions(contract, target, options);
      if (options) checkDelay(contract, target, options, clock);
      const content = encodeBody(contract, target, body, this.#host.maxBodyBytes);
      const setUp = contract.kind === 'exchange' ? this.#host.setUpOn(contract.name) : undefined;
      const isNow = setUp === undefined && Buffer.isBuffer(content);
      const receipt = { messageId: options?.messageId ?? tracedId ?? uuid() };
      const wallNow = clock.wallNow();
      const message = outgoingOf(contract, receipt.messageId, options, wallNow);
      if (isNow) message.content = content;
      const aheadMs = options && dueInMs(options, wallNow);
      this.#pending++;
      return publisher.add(message, receipt, {
        dueAt: aheadMs === undefined ? undefined : clock.now() + aheadMs,
        timeoutMs: options?.timeoutMs ?? this.#shared.timeoutMs,
        signal: options?.signal,
        hasOwnId: options?.messageId !== undefined,
        pendingContent: isNow ? undefined : this.#later(content, setUp),
        owner: this,
      });
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  sendAll(bodies: Iterable<unknown> | AsyncIterable<unknown>, options?: SendAllArguments<Contract>[0]) {
    return sendAll(bodies, (body, each) => this.send(body, each), this.#shared.maxInFlight, options);
  }

  settled(): void {
    this.#pending--;
    if (this.#pending === 0) this.#drained.notify();
  }

  close(): Promise<void> {
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #drain(): Promise<void> {
    this.#isClosed = true;
    if (this.#pending > 0) await this.#drained.wait();
    await this.#shared.closed();
  }

  /** Prepares a send that waits for its schema, or for consumers to be set up. */
  #later(body: Buffer | LaterBody, setUp: Promise<void> | undefined): PendingContent {
    let waitsFor = notSetUp(this.#shared.target);
    const isValidating = !Buffer.isBuffer(body);
    const encoded = isValidating ? body.content : Promise.resolve(body);
    const ready = setUp ? encoded.then((it) => setUp.then(() => it)) : encoded;
    if (isValidating) {
      const validating = `The schema of ${this.#shared.target} did not finish`;
      const setting = waitsFor;
      waitsFor = validating;
      encoded.then(
        () => {
          waitsFor = setting;
        },
        () => {},
      );
    }
    // If the send is settled already, a late rejection concerns no caller.
    ready.catch(() => {});
    return {
      content: ready,
      sizeBytes: isValidating ? body.sizeBytes : body.length,
      waitsFor: () => waitsFor,
    };
  }

  #closedError(): ClosedError {
    return new ClosedError(`The producer of ${this.#shared.target} is closed`, { maybeDelivered: false });
  }
}
