import { encodeBody, receiveBody } from '../../contracts/body/body.js';
import type { Validation } from '../../contracts/body/validate.js';
import type { ProcedureContract } from '../../contracts/types.js';
import { traces } from '../../diagnostics/channels.js';
import { traceRequest } from '../../diagnostics/send.js';
import { ClosedError, ConnectionError, TopologyError } from '../../errors.js';
import { Backoff, channelBackoff } from '../../transport/connection/backoff.js';
import type { Connection } from '../../transport/connection/connection.js';
import { type Delivery, REPLY_TO, TransportError } from '../../transport/port.js';
import { toTopologyError } from '../../transport/public-errors.js';
import { type Clock, raceAbort, sleep, withDeadline } from '../../util/clock.js';
import { isThenable } from '../../util/promises.js';
import { failureIn } from '../failure.js';
import { targetOf } from '../target.js';
import { PendingRequest, PendingRequests } from './pending-requests.js';
import { RequestChannel } from './request-channel.js';
import * as errors from './request-errors.js';
import { type RequestCall, requestMessage } from './request-message.js';
import {
  checkRequestOptions,
  DEFAULT_TIMEOUT_MS,
  duplicateCorrelation,
  type RequestOptions,
} from './request-options.js';
import { TimeoutDiagnosis } from './timeout-diagnosis.js';

export interface RequesterSettings {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  /**
   * Whether to request publisher confirms. They take a tenth of the time of a short request, but a queue that refuses requests
   * reports that in no other way.
   */
  readonly confirms: boolean;
}

type RequesterState =
  | { readonly status: 'idle' }
  | { readonly status: 'opening' }
  | { readonly status: 'open'; readonly channel: RequestChannel };

/**
 * Sends the requests of a broker, all over one channel, and gives each its answer. Opens the channel with the first request.
 * When the channel is lost, the requests that were sent fail, because their reply address is gone; those that wait are published
 * on the next channel.
 *
 * | state   | request, flush              | opened | refused for good                 | failed                 | channel closed                      | close, abort                  |
 * |---------|-----------------------------|--------|----------------------------------|------------------------|-------------------------------------|-------------------------------|
 * | idle    | opening, if something waits |        |                                  |                        |                                     | idle                          |
 * | opening |                             | open   | idle, and what waits is rejected | opening, after a delay |                                     | idle, when nothing waits      |
 * | open    | publishes                   |        |                                  |                        | idle, or opening if something waits | idle, when nothing is pending |
 */
export class Requester {
  readonly #settings: RequesterSettings;
  readonly #requests: PendingRequests;
  readonly #timeoutDiagnosis: TimeoutDiagnosis;
  readonly #backoff: Backoff;
  /** Aborted by `abort`, which stops all waiting. */
  readonly #aborting = new AbortController();
  /** Requests whose asynchronous schema is still running. */
  readonly #validating = new Set<Promise<unknown>>();
  #state: RequesterState = { status: 'idle' };
  #isClosed = false;

  constructor(settings: RequesterSettings) {
    this.#settings = settings;
    this.#requests = new PendingRequests(
      settings.clock,
      (request) => this.#late(request),
      (request) => this.#requests.fail(request, errors.timeoutError(request, settings.connection)),
    );
    this.#timeoutDiagnosis = new TimeoutDiagnosis(settings.connection);
    this.#backoff = new Backoff(channelBackoff, settings.clock.random);
  }

  /** Resolves with the validated response, and settles within `timeoutMs` whatever happens. */
  request(procedure: ProcedureContract, body: unknown, options?: RequestOptions): Promise<unknown> {
    try {
      if (!traces.request.hasSubscribers) return this.#request(procedure, body, options);
      const { origin } = this.#settings.connection;
      return traceRequest(origin, procedure.name, options, (traced) =>
        this.#request(procedure, body, traced.options, traced.messageId),
      );
    } catch (error) {
      // A getter of the options threw.
      return Promise.reject(error as Error);
    }
  }

  /** @param tracedId - the id that a trace has named */
  #request(
    procedure: ProcedureContract,
    body: unknown,
    options: RequestOptions | undefined,
    tracedId?: string,
  ): Promise<unknown> {
    // Not an async function: a request costs one promise.
    try {
      if (this.#isClosed) throw errors.closedError(procedure.name, false);
      const target = targetOf(procedure);
      checkRequestOptions(target, options);
      const encoded = encodeBody(procedure.queue, target, body, this.#settings.maxBodyBytes);
      const call = { procedure, options, timeoutMs: options?.timeoutMs ?? DEFAULT_TIMEOUT_MS, tracedId };
      return Buffer.isBuffer(encoded) ? this.#add(call, encoded) : this.#addLater(call, encoded.content);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** Publishes what is waiting; opens the channel if there is none. */
  flush(): void {
    if (!this.#requests.isWaiting) return;
    if (this.#state.status === 'idle') void this.#open(0);
    if (this.#state.status !== 'open') return;
    for (const request of this.#requests) this.#publish(request, this.#state.channel);
  }

  /** Accepts no more requests, waits for every response, and closes the channel. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#validating);
    await this.#requests.drained();
    await this.#closeChannel();
  }

  /** Accepts no more requests and rejects the remaining ones with a `ClosedError`. */
  abort(): void {
    this.#isClosed = true;
    this.#aborting.abort();
    for (const request of this.#requests)
      this.#requests.fail(request, errors.closedError(request.procedure.name, request.wasSent));
    void this.#closeChannel();
  }

  async #addLater(call: RequestCall, encoding: Promise<Buffer>): Promise<unknown> {
    const { clock } = this.#settings;
    const { procedure, options, timeoutMs } = call;
    const startedAt = clock.now();
    const timeoutError = () => errors.slowSchemaError(procedure.name, timeoutMs);
    const encoded = withDeadline(clock, raceAbort(encoding, options?.signal), timeoutMs, timeoutError);
    this.#validating.add(encoded);
    try {
      const content = await encoded;
      const leftMs = Math.max(1, timeoutMs - (clock.now() - startedAt));
      return this.#add({ ...call, timeoutMs: leftMs }, content);
    } finally {
      this.#validating.delete(encoded);
    }
  }

  #add(call: RequestCall, content: Buffer): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { procedure, options } = call;
      const signal = options?.signal;
      if (signal?.aborted) return reject(signal.reason as Error);
      // The broker was closed at its deadline, while the schema was still running.
      if (this.#aborting.signal.aborted) return reject(errors.closedError(procedure.name, false));
      const message = requestMessage(call, content, this.#settings.clock.wallNow());
      const request = new PendingRequest(call, message, resolve, reject);
      if (this.#requests.get(request.correlationId))
        return reject(duplicateCorrelation(targetOf(procedure), request.correlationId));
      if (!this.#requests.hasRoom(request.sizeBytes)) return reject(errors.fullError(procedure.name));
      this.#requests.add(request);
      if (signal) request.abortWith(signal, () => this.#requests.fail(request, signal.reason));
      if (this.#state.status === 'open') this.#publish(request, this.#state.channel);
      else this.flush();
    });
  }

  #publish(request: PendingRequest, channel: RequestChannel): void {
    if (request.phase !== 'waiting' || !channel.isWritable) return;
    const { message } = request;
    const leftMs = Math.max(1, Math.ceil(request.deadline - this.#settings.clock.now()));
    // A responder should not start on the request after the requester has stopped waiting.
    message.properties.expiration = `${leftMs}`;
    try {
      channel.publish(message, request);
    } catch (error) {
      if (channel.isOpen) this.#requests.fail(request, errors.encodingError(request, error as Error));
      return;
    }
    this.#requests.sent(request);
  }

  async #open(delayMs: number): Promise<void> {
    this.#state = { status: 'opening' };
    const { clock, connection, confirms } = this.#settings;
    try {
      if (delayMs > 0) await sleep(clock, delayMs, this.#aborting.signal);
      const link = await connection.link();
      const channel = await RequestChannel.open(
        link,
        { now: clock.now(), confirms },
        {
          onReply: (delivery) => this.#replied(delivery),
          onReturned: (messageId, replyText) => this.#returned(messageId, replyText),
          onRejected: (request) => this.#requests.fail(request, errors.rejectedError(request)),
          onClosed: (closed, error) => this.#channelClosed(closed, error),
        },
      );
      this.#state = { status: 'open', channel };
      if (!channel.isOpen) this.#channelClosed(channel, new TransportError('the channel was closed at once'));
      else if (this.#isClosed && this.#requests.count === 0) await this.#closeChannel();
      else this.flush();
    } catch (error) {
      this.#openFailed(toTopologyError(error, REPLY_TO));
    }
  }

  #openFailed(error: unknown): void {
    this.#state = { status: 'idle' };
    if (error instanceof TopologyError || error instanceof ConnectionError || error instanceof ClosedError) {
      for (const request of this.#requests) if (!request.wasSent) this.#requests.fail(request, error);
    } else if (this.#requests.isWaiting) {
      void this.#open(Math.max(1, this.#backoff.afterFailure({ reachedServer: true })));
    }
  }

  #channelClosed(channel: RequestChannel, error: TransportError): void {
    if (this.#state.status !== 'open' || this.#state.channel !== channel) return;
    this.#state = { status: 'idle' };
    const { connection, clock } = this.#settings;
    for (const request of this.#requests)
      if (request.phase === 'sent') this.#requests.fail(request, errors.lostError(request, error));
    // If the whole connection is lost, it has its own delay.
    const delayMs = connection.current ? this.#backoff.afterLoss(clock.now() - channel.openedAt) : 0;
    if (this.#requests.isWaiting) void this.#open(delayMs);
  }

  #returned(messageId: unknown, replyText: string): void {
    const request = this.#requests.ofMessage(messageId);
    if (request) this.#requests.fail(request, errors.unroutableError(request, replyText));
  }

  /** An answer has arrived, perhaps after its request was settled. */
  #replied(delivery: Delivery): void {
    const request = this.#requests.get(delivery.properties.correlationId as string);
    if (request?.phase !== 'sent') return;
    const failure = failureIn(delivery);
    if (failure) {
      this.#requests.fail(request, errors.remoteError(request, failure));
      return;
    }
    const { response: schema, codec, queue } = request.procedure;
    const contract = { schema, codec, contentTypes: queue.contentTypes };
    const decoded = receiveBody(contract, delivery, this.#settings.maxBodyBytes);
    if (!isThenable(decoded)) {
      this.#answered(request, decoded);
      return;
    }
    request.phase = 'answered';
    void decoded.then((it) => this.#answered(request, it));
  }

  #answered(request: PendingRequest, answer: Validation<unknown>): void {
    if (answer.ok) this.#requests.succeed(request, answer.value);
    else this.#requests.fail(request, errors.invalidAnswerError(request, answer.issues));
  }

  /** The request's time is nearly over: finds out why, so that the error can say so. */
  #late(request: PendingRequest): void {
    if (request.phase !== 'sent') return;
    void this.#timeoutDiagnosis.look(request.procedure.name).then((found) => {
      request.circumstances = found;
    });
  }

  async #closeChannel(): Promise<void> {
    if (this.#state.status !== 'open') return;
    const { channel } = this.#state;
    this.#state = { status: 'idle' };
    await channel.close();
  }
}
