import type { ProcedureContract } from '../../contracts/types.js';
import type { OutgoingMessage } from '../../transport/port.js';
import type { Clock } from '../../util/clock.js';
import { Condition } from '../../util/condition.js';
import { type Deadlined, Deadlines } from '../../util/deadlines.js';
import { onAbort } from '../../util/on-abort.js';
import type { RequestCall } from './request-message.js';

/** The most requests that may wait for their answers. */
export const MAX_PENDING = 10_000;

/** The most memory that pending requests may use, in bytes. */
const MAX_PENDING_BYTES = 64 * 1024 * 1024;

/** How long before its deadline a late request is diagnosed; at most half of its time limit. */
const LATE_MS = 1_000;

/**
 * One request on its way.
 *
 * | phase    | where it is                            | next                                                                  |
 * |----------|----------------------------------------|-----------------------------------------------------------------------|
 * | waiting  | here: there is no channel, or an alarm | sent (published), settled (refusal, encoding, deadline, abort, close) |
 * | sent     | at the server or a responder           | answered, settled (failure, deadline, abort, channel lost, close)     |
 * | answered | here again: its answer is validated    | settled                                                               |
 * | settled  | nowhere                                | none                                                                  |
 */
export class PendingRequest implements Deadlined {
  readonly procedure: ProcedureContract;
  readonly message: OutgoingMessage;
  readonly correlationId: string;
  readonly timeoutMs: number;
  readonly resolve: (body: unknown) => void;
  readonly reject: (error: unknown) => void;
  phase: 'waiting' | 'sent' | 'answered' | 'settled' = 'waiting';
  /** The clock's time of the deadline. */
  deadline = 0;
  isLate = false;
  /** The diagnosis of the request's queue, for the error of its timeout. */
  circumstances: string | undefined;
  bucket: Deadlined['bucket'];
  slot = 0;
  #detach: (() => void) | undefined;

  constructor(
    { procedure, timeoutMs }: RequestCall,
    message: OutgoingMessage,
    resolve: (body: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.procedure = procedure;
    this.message = message;
    this.correlationId = message.properties.correlationId as string;
    this.timeoutMs = timeoutMs;
    this.resolve = resolve;
    this.reject = reject;
  }

  /** True once the request was written to a channel: from then on a responder may have it. */
  get wasSent(): boolean {
    return this.phase !== 'waiting';
  }

  /** The approximate memory use: the body and what is kept around it. */
  get sizeBytes(): number {
    return this.message.content.length + 512;
  }

  /** Calls back once when the signal aborts, unless the request is settled before. */
  abortWith(signal: AbortSignal, abort: () => void): void {
    this.#detach = onAbort(signal, abort);
  }

  settled(): void {
    this.phase = 'settled';
    this.#detach?.();
  }
}

/** Every request that is not settled, by its correlation id, and how each one ends. */
export class PendingRequests implements Iterable<PendingRequest> {
  readonly #clock: Clock;
  readonly #requests = new Map<string, PendingRequest>();
  readonly #deadlines: Deadlines<PendingRequest>;
  #waiting = 0;
  #sizeBytes = 0;
  readonly #drained = new Condition();

  /**
   * @param onLate - the request's time is nearly over
   * @param onExpired - the request's time is over
   */
  constructor(
    clock: Clock,
    onLate: (request: PendingRequest) => void,
    onExpired: (request: PendingRequest) => void,
  ) {
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock, (request) => {
      if (request.isLate) return onExpired(request);
      request.isLate = true;
      this.#deadlines.add(request, request.deadline);
      onLate(request);
    });
  }

  get count(): number {
    return this.#requests.size;
  }

  /** True when a request is not published yet. */
  get isWaiting(): boolean {
    return this.#waiting > 0;
  }

  [Symbol.iterator](): Iterator<PendingRequest> {
    return this.#requests.values();
  }

  get(correlationId: string): PendingRequest | undefined {
    return this.#requests.get(correlationId);
  }

  /** The request that the server returned, which it identifies by its message id alone. */
  ofMessage(messageId: unknown): PendingRequest | undefined {
    const request = this.#requests.get(messageId as string);
    if (request?.message.properties.messageId === messageId) return request;
    for (const other of this.#requests.values())
      if (other.message.properties.messageId === messageId) return other;
    return undefined;
  }

  /** True when one more request may wait. The first one always may, whatever its size. */
  hasRoom(sizeBytes: number): boolean {
    const { size } = this.#requests;
    return size === 0 || (size < MAX_PENDING && this.#sizeBytes + sizeBytes <= MAX_PENDING_BYTES);
  }

  /** Adds a new request, which waits until its deadline at most. */
  add(request: PendingRequest): void {
    const { timeoutMs } = request;
    request.deadline = this.#clock.now() + timeoutMs;
    this.#requests.set(request.correlationId, request);
    this.#sizeBytes += request.sizeBytes;
    this.#waiting++;
    this.#deadlines.add(request, request.deadline - Math.min(LATE_MS, timeoutMs / 2));
  }

  /** Marks the request as published. */
  sent(request: PendingRequest): void {
    request.phase = 'sent';
    this.#waiting--;
  }

  succeed(request: PendingRequest, body: unknown): void {
    if (this.#settle(request)) request.resolve(body);
  }

  fail(request: PendingRequest, error: unknown): void {
    if (this.#settle(request)) request.reject(error);
  }

  /** Resolves when every request is settled. */
  async drained(): Promise<void> {
    if (this.#requests.size > 0) await this.#drained.wait();
  }

  #settle(request: PendingRequest): boolean {
    if (request.phase === 'settled') return false;
    if (request.phase === 'waiting') this.#waiting--;
    request.settled();
    this.#deadlines.remove(request);
    this.#requests.delete(request.correlationId);
    this.#sizeBytes -= request.sizeBytes;
    if (this.#requests.size === 0) {
      this.#deadlines.clear();
      this.#drained.notify();
    }
    return true;
  }
}
