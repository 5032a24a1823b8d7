import { randomUUID } from 'node:crypto';
import { encodeBody } from '../contracts/body/body.js';
import { codecs } from '../contracts/body/codec.js';
import { type InputOf, isThenable } from '../contracts/body/schema.js';
import type { Contract } from '../contracts/topology.js';
import { traces } from '../diagnostics/channels.js';
import { traceSend } from '../diagnostics/send.js';
import { ClosedError, TimeoutError } from '../errors.js';
import { copyHeaders } from '../messages/headers.js';
import type { Connection } from '../transport/connection/connection.js';
import type { OutgoingMessage } from '../transport/port.js';
import { type Check, checkOptions, expectDuration, expectInteger } from '../util/checks.js';
import { type Clock, raceAbort, withDeadline } from '../util/clock.js';
import type { Receipt } from './publisher/pending-send.js';
import { Publisher } from './publisher/publisher.js';
import { type SendAllArguments, type SendAllResult, sendAll } from './send-all.js';
import { checkDelay, dueAt } from './send-delay.js';
import { type AnySendOptions, checkSendOptions, type SendArguments } from './send-options.js';

/** The options of `broker.producer(…)`. */
export interface ProducerOptions {
  /** How many messages may be published and not confirmed, 1 to 65 535. @defaultValue 1000 */
  readonly maxInFlight?: number | undefined;
  /** How many more may wait (64 MiB at most); then `BufferFullError`. 1 to 10 000 000. @defaultValue 10000 */
  readonly maxBuffered?: number | undefined;
  /** How long each send may take in all, in milliseconds, 1 or more, or `Infinity`. @defaultValue 30000 */
  readonly timeoutMs?: number | undefined;
}

/** Sends to one queue or exchange. Made by `broker.producer(contract)`. */
export interface Producer<C extends Contract = Contract> extends AsyncDisposable {
  /** The queue or exchange that it sends to. */
  readonly contract: C;
  /** Sends that are not settled yet. */
  readonly pending: number;
  /**
   * Sends one message. Resolves when the server has confirmed it and some queue took it (an exchange: when it is confirmed,
   * and with `mandatory: true` taken; with a delay: when a delay queue took it). Sends are pipelined: start many before you
   * wait for the first.
   *
   * A lost connection is waited out: what was not confirmed is published again with the same id, so a consumer can see a
   * message twice, and never loses one that this promise resolved for.
   *
   * @throws ValidationError, MessageTooLargeError, ConfigurationError: nothing was sent
   * @throws UnroutableError no queue took it; RejectedError the server refused it; TopologyError its queue can not be declared
   * @throws TimeoutError, ClosedError with `maybeDelivered`: false when it is sure that nothing was sent
   * @throws BufferFullError too much waits already; the reason of the `signal` when that aborts
   */
  send(body: InputOf<C['schema']>, ...options: SendArguments<C>): Promise<Receipt>;
  /**
   * Sends everything that an iterable gives, as many at once as `maxInFlight` allows. Resolves when all are settled, with
   * those that failed. Rejects with what the iterable itself or `onProgress` throws, after what was begun is settled.
   *
   * @throws ConfigurationError for an unknown option, or for bodies that can not be iterated: nothing was sent
   */
  sendAll(
    bodies: Iterable<InputOf<C['schema']>> | AsyncIterable<InputOf<C['schema']>>,
    ...options: SendAllArguments<C>
  ): Promise<SendAllResult<InputOf<C['schema']>>>;
  /** Takes no more and resolves when every pending send is settled. Safe to call twice. Never rejects. */
  close(): Promise<void>;
}

const producerChecks: Readonly<Record<string, Check>> = {
  maxInFlight: expectInteger(1, 65_535),
  maxBuffered: expectInteger(1, 10_000_000),
  timeoutMs: expectDuration(1, { infinity: true }),
};

/** What a producer needs of its broker. */
export interface ProducerHost {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  onProducerClosed(producer: QueueProducer): void;
}

/** The producer behind {@link Producer}, without its types. */
export class QueueProducer implements Producer {
  readonly contract: Contract;
  readonly #host: ProducerHost;
  readonly #target: string;
  readonly #publisher: Publisher;
  readonly #maxInFlight: number;
  readonly #timeoutMs: number;
  /** Sends whose asynchronous schema is still at work. */
  #validating = new Set<Promise<unknown>>();
  /** Aborted by {@link abort}: no schema is waited for any more. */
  readonly #aborting = new AbortController();
  #isClosed = false;
  #closed: Promise<void> | undefined;

  constructor(contract: Contract, options: ProducerOptions, host: ProducerHost) {
    this.contract = contract;
    this.#host = host;
    this.#target = `the ${contract.kind} '${contract.name}'`;
    checkOptions(`producer of ${this.#target}`, options, producerChecks);
    this.#maxInFlight = options.maxInFlight ?? 1_000;
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#publisher = new Publisher({
      target: this.#target,
      connection: host.connection,
      clock: host.clock,
      // An exclusive queue belongs to the connection that consumes from it: declared here it would be another one's.
      contract: contract.kind === 'queue' && contract.exclusive ? undefined : contract,
      maxInFlight: this.#maxInFlight,
      maxBuffered: options.maxBuffered ?? 10_000,
    });
  }

  get pending(): number {
    return this.#publisher.pending + this.#validating.size;
  }

  get health() {
    return { target: this.contract.name, pending: this.pending, inFlight: this.#publisher.inFlight };
  }

  send(body: unknown, options?: AnySendOptions): Promise<Receipt> {
    try {
      if (!traces.send.hasSubscribers) return this.#send(body, options);
      const { connection, clock } = this.#host;
      return traceSend(connection.origin, this.contract, options, clock.wallNow(), (traced) =>
        this.#send(body, traced.options, traced.messageId),
      );
    } catch (error) {
      // Options that throw where they are read.
      return Promise.reject(error as Error);
    }
  }

  /** @param tracedId - the id that a trace has named, unless the options have one */
  #send(body: unknown, options: AnySendOptions | undefined, tracedId?: string): Promise<Receipt> {
    // Not an async function: a send costs one promise.
    try {
      if (this.#isClosed) throw this.#closedError();
      checkSendOptions(this.contract, this.#target, options);
      if (options) checkDelay(this.contract, this.#target, options, this.#host.clock);
      const content = encodeBody(this.contract, this.#target, body, this.#host.maxBodyBytes);
      if (isThenable(content)) return this.#sendLater(content, options, tracedId);
      return this.#add(content, options, options?.timeoutMs ?? this.#timeoutMs, tracedId);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  sendAll(bodies: Iterable<unknown> | AsyncIterable<unknown>, options?: SendAllArguments<Contract>[0]) {
    return sendAll(bodies, (body, each) => this.send(body, each), this.#maxInFlight, options);
  }

  /** Publishes again what waits, after the server's alarm is over. */
  flush(): void {
    this.#publisher.flush();
  }

  close(): Promise<void> {
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  /** Settles what is left with a `ClosedError`. */
  abort(): void {
    this.#isClosed = true;
    this.#aborting.abort(this.#closedError());
    this.#publisher.abort();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #drain(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#validating);
    await this.#publisher.close();
    this.#host.onProducerClosed(this);
  }

  async #sendLater(
    encoding: Promise<Buffer>,
    options: AnySendOptions | undefined,
    tracedId: string | undefined,
  ): Promise<Receipt> {
    const { clock } = this.#host;
    const timeoutMs = options?.timeoutMs ?? this.#timeoutMs;
    const startedAt = clock.now();
    const tooLate = () =>
      new TimeoutError(`The schema of ${this.#target} did not answer within ${timeoutMs} ms`, {
        maybeDelivered: false,
      });
    const wanted = raceAbort(raceAbort(encoding, options?.signal), this.#aborting.signal);
    const encoded = withDeadline(clock, wanted, timeoutMs, tooLate);
    this.#validating.add(encoded);
    try {
      const content = await encoded;
      return this.#add(content, options, Math.max(1, timeoutMs - (clock.now() - startedAt)), tracedId);
    } finally {
      this.#validating.delete(encoded);
    }
  }

  #add(
    content: Buffer,
    options: AnySendOptions | undefined,
    timeoutMs: number,
    tracedId: string | undefined,
  ): Promise<Receipt> {
    const receipt = { messageId: options?.messageId ?? tracedId ?? randomUUID() };
    const message = this.#message(content, receipt.messageId, options);
    return this.#publisher.add(message, receipt, {
      dueAt: dueAt(options, this.#host.clock),
      timeoutMs,
      signal: options?.signal,
      hasOwnId: options?.messageId !== undefined,
    });
  }

  #message(content: Buffer, messageId: string, options: AnySendOptions | undefined): OutgoingMessage {
    const { contract } = this;
    const isQueue = contract.kind === 'queue';
    return {
      exchange: isQueue ? '' : contract.name,
      routingKey: isQueue ? contract.name : (options?.routingKey ?? ''),
      mandatory: options?.mandatory ?? isQueue,
      content,
      properties: {
        contentType: codecs[contract.codec].contentType,
        deliveryMode: 2,
        messageId,
        timestamp: Math.floor(this.#host.clock.wallNow() / 1_000),
        ...(options && {
          // A copy: the caller may change its object while the message waits.
          headers: options.headers && copyHeaders(options.headers),
          correlationId: options.correlationId,
          priority: options.priority,
          expiration: options.ttlMs?.toString(),
        }),
      },
    };
  }

  #closedError(): ClosedError {
    return new ClosedError(`The producer of ${this.#target} is closed`, { maybeDelivered: false });
  }
}
