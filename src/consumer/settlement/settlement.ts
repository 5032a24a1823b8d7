import type { QueueContract } from '../../contracts/types.js';
import type { ConsumerTracer, TracedVerdict } from '../../diagnostics/consume.js';
import type { Events } from '../../events.js';
import { isPastLastAttempt } from '../../messages/attempt.js';
import type { Republisher } from '../../producer/republisher.js';
import type { Clock } from '../../util/clock.js';
import type { DuplicateFilter } from '../delivery/duplicate-filter.js';
import type { ReceivedMessage, Settler } from '../delivery/message.js';
import type { Session } from '../session/session.js';
import { GivenUpMessages } from './given-up.js';
import type { Outcome, OutcomeListener } from './outcome.js';
import { RestingMessages } from './resting-messages.js';
import { decide, isGivenUp } from './retry-decision.js';
import type { Verdict } from './verdict.js';

/** How long a message is held here if its copy could not be published, before it is requeued: a bare requeue would spin. */
const SETBACK_MS = 1_000;

/** How long a message may be held in this process, unacknowledged: the server takes it back after 30 minutes. */
export const MAX_HOLD_MS = 20 * 60_000;

export interface SettlementSettings {
  readonly contract: QueueContract;
  readonly tracer?: ConsumerTracer | undefined;
  readonly noAck: boolean;
  readonly memory: DuplicateFilter;
  readonly republisher: Republisher;
  readonly events: Events;
  readonly clock: Clock;
  readonly onOutcome: OutcomeListener | undefined;
  /** Retries a message in place, after a delay. Returns false, or is absent, when the message has to leave its place. */
  readonly hold?: ((message: ReceivedMessage, delayMs: number) => boolean | undefined) | undefined;
  /** Keeps a message here for a while, without using up concurrency; then it comes back unchanged. */
  readonly park?: ((message: ReceivedMessage, delayMs: number) => void) | undefined;
  /**
   * Answers a request that failed, instead of dead-lettering it. Resolves when the answer is confirmed; undefined when no
   * answer is needed.
   */
  readonly answerFailure?:
    | ((message: ReceivedMessage, error: unknown) => Promise<void> | undefined)
    | undefined;
}

/**
 * A verdict as it is carried out: for a failed run, with the retry policy's decision. `forget`: the server does not have the
 * message any more.
 */
type Plan =
  | Exclude<Verdict, { readonly kind: 'retry' }>
  | { readonly kind: 'retry'; readonly error: unknown; readonly delayMs: number }
  | { readonly kind: 'forget' };

type TracedPlan = Exclude<Plan, { readonly kind: 'rest' }>;

/** Counters of a consumer's verdicts. */
export interface SettlementCounts {
  acked: number;
  retried: number;
  deadLettered: number;
  requeued: number;
  stale: number;
}

/**
 * Carries out verdicts. A message leaves its queue only after its work is done or its copy is confirmed elsewhere; a crash in
 * between redelivers it and loses nothing.
 */
export class Settlement implements Settler {
  readonly counts: SettlementCounts = { acked: 0, retried: 0, deadLettered: 0, requeued: 0, stale: 0 };
  readonly #settings: SettlementSettings;
  readonly #givenUp: GivenUpMessages;
  readonly #resting: RestingMessages;
  readonly #publishing = new Set<Promise<void>>();
  #isClosing = false;

  constructor(settings: SettlementSettings) {
    this.#settings = settings;
    this.#givenUp = new GivenUpMessages(settings.clock);
    this.#resting = new RestingMessages(settings.clock, (message) => done(message, false));
  }

  /** Why dead letters cannot be published now. */
  get obstacle(): string | undefined {
    return this.#givenUp.obstacle;
  }

  /** Settles a message that was given up on before and was redelivered. Returns false for any other. */
  settleGivenUp(message: ReceivedMessage): boolean {
    const known = this.#givenUp.errorOf(message);
    return known !== undefined && message.settle({ kind: 'dead-letter', error: known.error });
  }

  /** Gives up a message that came back after its last attempt, from this process or another one. Returns false for any other. */
  settleOutOfAttempts(message: ReceivedMessage): boolean {
    const { name, type, retry } = this.#settings.contract;
    if (!isPastLastAttempt(message.delivery, name, type, retry.attempts)) return false;
    const error = new Error(`The message came back after the last of its ${retry.attempts} attempts`);
    return message.settle({ kind: 'dead-letter', error });
  }

  settle(message: ReceivedMessage, verdict: Verdict): boolean {
    const plan = this.#plan(message, verdict);
    const { tracer } = this.#settings;
    // A message at rest has been seen by no handler, and comes back unchanged.
    if (tracer?.hearsVerdicts && plan.kind !== 'rest') return this.#traced(tracer, message, plan, verdict);
    message.loopRun?.succeed();
    return this.#carryOut(message, plan);
  }

  #traced(tracer: ConsumerTracer, message: ReceivedMessage, plan: TracedPlan, verdict: Verdict): boolean {
    const trace = tracer.verdict(message, this.#told(plan, verdict));
    message.verdictTrace = trace;
    return trace.run(() => {
      message.loopRun?.succeed();
      const isDone = this.#carryOut(message, plan);
      if (!isDone) trace.succeed(false);
      return isDone;
    });
  }

  /** The plan in the words of a trace. A request that failed is acknowledged as well, after its answer. */
  #told(plan: TracedPlan, verdict: Verdict): TracedVerdict {
    const reason = 'reason' in verdict ? verdict.reason : 'error' in verdict ? verdict.error : undefined;
    const kinds = {
      ack: 'ack',
      answer: 'ack',
      requeue: 'requeue',
      reject: 'requeue',
      retry: 'retry',
      forget: 'retry',
      'dead-letter': this.#settings.answerFailure ? 'ack' : 'dead-letter',
    } as const;
    return { verdict: kinds[plan.kind], delayMs: plan.kind === 'retry' ? plan.delayMs : undefined, reason };
  }

  /** What has to be done. A stale delivery needs no decision: the message will be redelivered. */
  #plan(message: ReceivedMessage, verdict: Verdict): Plan {
    if (verdict.kind !== 'retry') return verdict;
    const { contract, clock, noAck } = this.#settings;
    const { error, delayMs } = verdict;
    if (!message.session.isLive) return { kind: 'retry', error, delayMs: delayMs ?? 0 };
    // At most once: the server has forgotten the message already. A message that was given up on was handled all the same.
    if (noAck && !isGivenUp(error)) return { kind: 'forget' };
    const decision = decide(contract.retry, message, error, delayMs, clock.random);
    if (decision.kind === 'dead-letter') return { kind: 'dead-letter', error };
    return { kind: 'retry', error, delayMs: decision.delayMs };
  }

  /** Returns false when the delivery is stale. */
  #carryOut(message: ReceivedMessage, plan: Plan): boolean {
    // A stale success is remembered, so that a redelivery is not handled again.
    if (plan.kind === 'ack') {
      const isDone = this.#ack(message);
      // For a duplicate, no handler has finished.
      if (isDone && !plan.isDuplicate) this.#tell(message, 'acked', undefined);
      return isDone;
    }
    // Even if the delivery is stale: the requester waits for the answer, not for the delivery.
    if (plan.kind === 'answer') {
      this.#answered(message, plan.answered, 'acked', undefined);
      return true;
    }
    const { session, delivery } = message;
    if (!session.isLive) return this.#stale();
    switch (plan.kind) {
      case 'requeue':
        this.#tell(message, 'requeued', undefined);
        this.counts.requeued++;
        return done(message, session.requeueUnseen(delivery.deliveryTag));
      case 'reject':
        this.#tell(message, 'requeued', undefined);
        this.counts.requeued++;
        return done(message, session.requeueFailed(delivery.deliveryTag));
      case 'dead-letter':
        this.#deadLetter(message, plan.error);
        return true;
      case 'retry':
        this.#retry(message, plan.error, plan.delayMs);
        return true;
      case 'rest':
        this.#settings.park?.(message, plan.delayMs);
        return true;
      case 'forget':
        return done(message, true);
    }
  }

  /** The deliveries of a session are stale: none of its messages at rest can be requeued any more. */
  sessionLost(session: Session): void {
    this.#resting.discard((message) => message.session === session);
  }

  /** Discards the messages at rest without requeueing them: the channel is about to be closed. */
  abandon(): void {
    this.#resting.discard(() => true);
  }

  /** From now on no message rests, and {@link settled} awaits what is left. */
  finish(): Promise<void> {
    this.#isClosing = true;
    return this.settled();
  }

  /** Ends the current rests, and resolves when every copy is confirmed or abandoned. */
  async settled(): Promise<void> {
    this.#resting.wakeAll();
    while (this.#publishing.size > 0) await Promise.all(this.#publishing);
  }

  #ack(message: ReceivedMessage): boolean {
    const { memory, noAck } = this.#settings;
    const { delivery, session } = message;
    if (session.ack(delivery.deliveryTag)) {
      this.counts.acked++;
      if (!noAck) memory.acked(delivery);
      if (message.verdictTrace) session.traceAck(message.verdictTrace);
      return true;
    }
    if (!noAck) memory.stale(delivery);
    done(message, false);
    return this.#stale();
  }

  #tell(message: ReceivedMessage, outcome: Outcome, error: unknown): void {
    this.#settings.onOutcome?.(this.#settings.contract, message, outcome, error);
  }

  #stale(): false {
    this.counts.stale++;
    return false;
  }

  #retry(message: ReceivedMessage, error: unknown, delayMs: number): void {
    this.counts.retried++;
    this.#tell(message, 'retried', error);
    if (this.#settings.hold?.(message, delayMs)) done(message, true);
    else this.#tryAgain(message, delayMs);
  }

  /** Retries through a copy on the server, which carries the attempt count and waits there. */
  #tryAgain(message: ReceivedMessage, delayMs: number): void {
    const { contract, republisher, clock } = this.#settings;
    if (contract.exclusive) {
      // Only the queue's own connection can bind it, and that one does not publish; it also dies with that connection.
      this.#rest(message, delayMs, () =>
        this.#publish(message, republisher.retry(message, contract, undefined), () => {}),
      );
      return;
    }
    const dueAt = delayMs > 0 ? clock.now() + delayMs : undefined;
    this.#publish(message, republisher.retry(message, contract, dueAt), () => {}, dueAt);
  }

  #deadLetter(message: ReceivedMessage, error: unknown): void {
    const { contract, events, answerFailure } = this.#settings;
    const { deadLetter } = contract;
    if (answerFailure) {
      this.#answered(message, answerFailure(message, error), 'failed', error);
      return;
    }
    this.#tell(message, 'dead-lettered', error);
    if (deadLetter === undefined) {
      this.counts.deadLettered++;
      const { id, attempt } = message;
      events.emit('dead-lettered', {
        queue: contract.name,
        deadLetterQueue: undefined,
        messageId: id,
        attempt,
        error,
      });
      done(message, message.session.drop(message.delivery.deliveryTag));
      return;
    }
    this.#place(message, error, deadLetter);
  }

  /** Publishes the dead letter, and acknowledges once that is confirmed. */
  #place(message: ReceivedMessage, error: unknown, deadLetterQueue: string): void {
    const { contract, republisher, events, memory, noAck } = this.#settings;
    const { failedAt } = this.#givenUp.failedAt(message);
    const placed = () => {
      this.counts.deadLettered++;
      this.#givenUp.forget(message);
      const { session, delivery, verdictTrace, id, attempt } = message;
      events.emit('dead-lettered', {
        queue: contract.name,
        deadLetterQueue,
        messageId: id,
        attempt,
        error,
      });
      // Remembered as done: if the acknowledgement is lost, nothing is left to do for the message.
      if (session.ack(delivery.deliveryTag)) {
        if (!noAck) memory.acked(delivery);
        if (verdictTrace) session.traceAck(verdictTrace);
        return;
      }
      if (!noAck) memory.stale(delivery);
      done(message, false);
      this.#stale();
    };
    const published = republisher.deadLetter(message, contract, error, failedAt);
    const settled = published
      .then(placed, (reason: unknown) => this.#notPlaced(message, error, deadLetterQueue, reason))
      .finally(() => this.#publishing.delete(settled));
    this.#publishing.add(settled);
  }

  /** Keeps the message, whose handler must not run again, and retries after a pause. */
  #notPlaced(message: ReceivedMessage, error: unknown, deadLetterQueue: string, given: unknown): void {
    const { contract, events } = this.#settings;
    const reason = given instanceof Error ? given : new Error(String(given));
    const { failedAt, keptMs } = this.#givenUp.failedAt(message);
    const delayMs = this.#givenUp.notPlaced(message, error, failedAt, reason);
    const { id, attempt, session, delivery, verdictTrace } = message;
    verdictTrace?.fail(reason);
    events.emit('dead-letter-failed', {
      queue: contract.name,
      deadLetterQueue,
      messageId: id,
      attempt,
      error: reason,
      delayMs,
    });
    // The server would soon close the channel, with everything on it. A redelivery of the message is recognised.
    const isKeptTooLong = keptMs + delayMs > MAX_HOLD_MS * Math.ceil((keptMs + 1) / MAX_HOLD_MS);
    if (this.#isClosing) session.requeueFailed(delivery.deliveryTag);
    else if (isKeptTooLong) session.requeueUnseen(delivery.deliveryTag);
    else this.#rest(message, delayMs, () => this.#place(message, error, deadLetterQueue));
  }

  /** Acknowledges once the copy is confirmed; otherwise the message is requeued when its time comes, and not at once. */
  #publish(
    message: ReceivedMessage,
    published: Promise<void>,
    onPublished: () => void,
    dueAt?: number,
  ): void {
    const then = () => {
      onPublished();
      // Not remembered as done: the copy has the same id and body, and would be taken for a redelivery of the original.
      const { session, delivery, verdictTrace } = message;
      if (session.ack(delivery.deliveryTag)) {
        if (verdictTrace) session.traceAck(verdictTrace);
        return;
      }
      done(message, false);
      this.#stale();
    };
    this.#whenPublished(message, published, then, dueAt);
  }

  /** Acknowledges a request once its answer is confirmed. It is remembered: an answered request need not run again. */
  #answered(
    message: ReceivedMessage,
    answered: Promise<void> | undefined,
    outcome: Outcome,
    error: unknown,
  ): void {
    const then = () => {
      this.#ack(message);
      this.#tell(message, outcome, error);
    };
    if (answered) this.#whenPublished(message, answered, then);
    else then();
  }

  /** A message that cannot be published is requeued. */
  #whenPublished(
    message: ReceivedMessage,
    published: Promise<void>,
    then: () => void,
    dueAt = Number.NEGATIVE_INFINITY,
  ): void {
    const giveBack = (error: unknown) => {
      message.verdictTrace?.fail(error);
      const restMs = Math.max(SETBACK_MS, dueAt - this.#settings.clock.now());
      this.#rest(message, restMs, () => this.#giveBack(message));
    };
    const done = published.then(then, giveBack).finally(() => this.#publishing.delete(done));
    this.#publishing.add(done);
  }

  #giveBack(message: ReceivedMessage): void {
    if (this.#settings.hold?.(message, 0)) return;
    message.session.requeueFailed(message.delivery.deliveryTag);
  }

  #rest(message: ReceivedMessage, delayMs: number, then: () => void): void {
    if (!message.session.isLive) {
      done(message, false);
      return;
    }
    if (delayMs <= 0 || this.#isClosing) {
      then();
      return;
    }
    this.#resting.rest(message, Math.min(MAX_HOLD_MS, delayMs), then);
  }
}

/** The verdict is carried out, or cannot be any more because the delivery is stale. */
function done(message: ReceivedMessage, isCarriedOut: boolean): boolean {
  message.verdictTrace?.succeed(isCarriedOut);
  return isCarriedOut;
}
