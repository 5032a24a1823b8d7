import { sentTo } from '../../delay/routing-headers.js';
import type { RunTrace, VerdictTrace } from '../../diagnostics/consume.js';
import { TimeoutError } from '../../errors.js';
import { attemptOf, isSuspect } from '../../messages/attempt.js';
import {
  ATTEMPT_HEADER,
  ATTEMPT_QUEUE_HEADER,
  FAILED_AT_HEADER,
  ORIGIN_HEADERS,
  ownHeaders,
  REPLAYED_HEADER,
} from '../../messages/headers.js';
import { text } from '../../messages/properties.js';
import { type Delivery, RETURN_ID_HEADER } from '../../transport/port.js';
import { checkOptions } from '../../util/checks.js';
import type { Deadlined } from '../../util/deadlines.js';
import type { Slotted } from '../../util/slot-list.js';
import type { Session } from '../session/session.js';
import { offsetIn } from '../session/stream-position.js';
import { DeadLetter, RetryLater, retryLaterChecks } from '../thrown-verdicts.js';
import { DeferredVerdict } from './deferred-verdict.js';
import type { Verdict } from './verdict.js';

/** A message as a handler, or the body of a `for await` loop, receives it. */
export interface Message<Body = unknown> {
  /**
   * The body, after the schema was applied. JavaScript reads a JSON integer beyond 2^53 as the nearest number it can
   * represent, and so loses digits without an error (RFC 8259, 6). A schema such as `z.int()` refuses such a number, {@link
   * Message.raw} has all digits, and a sender that writes the number as a string loses none.
   */
  readonly body: Body;
  /** The id that the sender assigned; undefined if there is none. */
  readonly id: string | undefined;
  /**
   * Which run of the handler this is: 1 on the first, 2 after a first redelivery. Counts failed runs and redeliveries as far
   * as the server reports them: RabbitMQ before 4.3 also counts messages that were requeued unseen. May exceed `attempts` for a
   * message that was returned before its first failure.
   */
  readonly attempt: number;
  /** The server has delivered the message before, to this consumer or another. */
  readonly redelivered: boolean;
  /**
   * The sender's headers, without those that the server adds. Objects have a null prototype. An integer beyond 2^53 has lost
   * digits, here and in every copy.
   */
  readonly headers: Readonly<Record<string, unknown>>;
  readonly routingKey: string;
  /** The exchange that the message was sent to; empty for a message sent to the queue itself. */
  readonly exchange: string;
  readonly correlationId: string | undefined;
  /** The message's offset in its stream; undefined for a message of any other queue. */
  readonly offset: number | undefined;
  /** When the message was sent, to the second, by the sender's clock; undefined also if the value is not a valid date. */
  readonly timestamp: Date | undefined;
  /**
   * Aborts once further work is pointless: the delivery was lost (the server will redeliver the message), the handler's time
   * limit has passed, or the consumer is closed and its deadline has passed.
   */
  readonly signal: AbortSignal;
  /** The bytes of the body as they arrived. */
  readonly raw: Uint8Array;
  /**
   * Acknowledges: the message is done and leaves the queue. A message takes one verdict; a later call does nothing and
   * returns false.
   */
  ack(): boolean;
  /**
   * Retries after a delay, or dead-letters the message after its last attempt. Meanwhile a copy waits on the server; on a
   * stream, the message itself waits here in its place.
   *
   * @param options - `delayMs`: 0 to 5 184 000 000 (60 days); the delay of the retry policy by default
   * @throws ConfigurationError for a delay out of range
   */
  retry(options?: { readonly delayMs?: number | undefined }): boolean;
  /** Moves the message to the dead-letter queue, with the reason. For a message that no retry can help. */
  deadLetter(reason?: string): boolean;
  /**
   * Requeues the message at once, for any consumer to take. Does not count as an attempt if the server can tell (4.3). A
   * stream cannot requeue: this consumer gets the message again, after those already delivered.
   */
  requeue(): boolean;
}

/** Carries out verdicts. */
export interface Settler {
  /** Carries out the verdict. Returns false when the delivery is stale, so that nothing can be done. */
  settle(message: ReceivedMessage, verdict: Verdict): boolean;
}

/** The message behind {@link Message}: one delivery of one session, which takes one verdict. */
export class ReceivedMessage implements Message, Deadlined, Slotted {
  readonly delivery: Delivery;
  readonly session: Session;
  /** The runs of the handler that the server has not counted. */
  readonly #runsHere: number;
  readonly #settler: Settler;
  /** Milliseconds since 1970. */
  readonly deliveredAt: number;
  /** The trace of the handler's run, if it has a subscriber. */
  run: RunTrace | undefined;
  /** The trace of the body of a loop, if it has a subscriber. The verdict ends it. */
  loopRun: RunTrace | undefined;
  /** The trace of the verdict, if it has a subscriber. */
  verdictTrace: VerdictTrace | undefined;
  body: unknown;
  bucket: Deadlined['bucket'];
  slot = 0;
  listSlot = -1;
  #verdict: Verdict | undefined;
  #deferred: DeferredVerdict | undefined;
  #controller: AbortController | undefined;
  #abortReason: Error | undefined;
  #headers: Record<string, unknown> | undefined;
  #attempt: number | undefined;

  constructor(delivery: Delivery, session: Session, settler: Settler, runsHere = 0, deliveredAt = 0) {
    this.delivery = delivery;
    this.session = session;
    this.#settler = settler;
    this.#runsHere = runsHere;
    this.deliveredAt = deliveredAt;
  }

  /** The same delivery once more, as if no handler had seen it. */
  anew(): ReceivedMessage {
    const { delivery, session, deliveredAt } = this;
    return new ReceivedMessage(delivery, session, this.#settler, this.#runsHere, deliveredAt);
  }

  /** The same delivery for another run: with a verdict of its own, and one more attempt. */
  again(): ReceivedMessage {
    const { delivery, session, deliveredAt } = this;
    return new ReceivedMessage(delivery, session, this.#settler, this.#runsHere + 1, deliveredAt);
  }

  get id(): string | undefined {
    return text(this.delivery.properties.messageId);
  }

  get attempt(): number {
    this.#attempt ??= attemptOf(this.delivery, this.session.queue, this.session.queueType) + this.#runsHere;
    return this.#attempt;
  }

  /** True when the message was redelivered so often that it may be ending the processes that handle it. */
  get isSuspect(): boolean {
    return isSuspect(this.delivery, this.session.queueType);
  }

  get redelivered(): boolean {
    return this.delivery.redelivered;
  }

  get headers(): Readonly<Record<string, unknown>> {
    if (!this.#headers) {
      this.#headers = ownHeaders(this.delivery.properties.headers);
      // A dead letter shows how its message was handled.
      if (!Object.hasOwn(this.#headers, FAILED_AT_HEADER)) delete this.#headers[ATTEMPT_HEADER];
      delete this.#headers[ATTEMPT_QUEUE_HEADER];
      delete this.#headers[RETURN_ID_HEADER];
      delete this.#headers[REPLAYED_HEADER];
      delete this.#headers[ORIGIN_HEADERS.exchange];
      delete this.#headers[ORIGIN_HEADERS.routingKey];
    }
    return this.#headers;
  }

  get routingKey(): string {
    return this.#sentTo.routingKey;
  }

  get exchange(): string {
    return this.#sentTo.exchange;
  }

  get #sentTo() {
    return sentTo(this.delivery);
  }

  get correlationId(): string | undefined {
    return text(this.delivery.properties.correlationId);
  }

  get offset(): number | undefined {
    return this.session.queueType === 'stream' ? offsetIn(this.delivery.properties.headers) : undefined;
  }

  get timestamp(): Date | undefined {
    const { timestamp } = this.delivery.properties;
    // The wire carries 64 bits, which exceeds the last valid Date.
    return typeof timestamp === 'number' && Math.abs(timestamp) <= MAX_DATE_SECONDS
      ? new Date(timestamp * 1_000)
      : undefined;
  }

  /** Created on first access: a signal per message costs more than everything else about it. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#abortReason) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  /** Why the signal aborts; undefined as long as it does not. */
  get abortReason(): Error | undefined {
    return this.#abortReason;
  }

  /** True once the handler's time limit has passed. */
  get hasTimedOut(): boolean {
    return this.#abortReason instanceof TimeoutError;
  }

  get raw(): Uint8Array {
    return this.delivery.content;
  }

  get hasVerdict(): boolean {
    return this.#verdict !== undefined;
  }

  /** True when the handler has acknowledged the message itself. */
  get isAcknowledged(): boolean {
    return this.#verdict?.kind === 'ack';
  }

  ack(): boolean {
    return this.settle({ kind: 'ack' });
  }

  retry(options?: { readonly delayMs?: number | undefined }): boolean {
    checkOptions('message.retry', options, retryLaterChecks);
    return this.settle({
      kind: 'retry',
      error: new RetryLater(),
      delayMs: options?.delayMs,
      reason: undefined,
    });
  }

  deadLetter(reason?: string): boolean {
    return this.settle({ kind: 'dead-letter', error: new DeadLetter(reason), reason });
  }

  requeue(): boolean {
    return this.settle({ kind: 'requeue' });
  }

  /** From now on keeps the verdict until {@link endDeferral}: the guard around the handler has to end first. */
  deferVerdict(): DeferredVerdict {
    this.#deferred = new DeferredVerdict();
    return this.#deferred;
  }

  /** From now on a verdict is carried out at once. */
  endDeferral(): void {
    this.#deferred = undefined;
  }

  /** True while the guard has not let the handler begin. */
  get awaitsGuard(): boolean {
    return this.#deferred?.hasBegun === false;
  }

  /** The handler has failed, or took too long: the retry policy decides. */
  fail(error: unknown): boolean {
    return this.#deferred ? this.#deferred.fail(error) : this.settle({ kind: 'retry', error });
  }

  /** The first verdict counts; later ones do nothing and return false. */
  settle(verdict: Verdict): boolean {
    if (this.#deferred) return this.session.isLive && this.#deferred.take(verdict);
    if (this.#verdict) return false;
    this.#verdict = verdict;
    return this.#settler.settle(this, verdict);
  }

  abort(reason: Error): void {
    if (this.#abortReason) return;
    this.#abortReason = reason;
    this.#controller?.abort(reason);
  }
}

/** The latest date of ECMAScript. */
const MAX_DATE_SECONDS = 8.64e12;
