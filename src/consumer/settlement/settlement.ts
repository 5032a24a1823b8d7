import type { ConsumerTracer } from '../../diagnostics/consume.js';
import { isPastLastAttempt } from '../../messages/attempt.js';
import type { DuplicateFilter } from '../delivery/duplicate-filter.js';
import type { ReceivedMessage, Settler } from '../delivery/message.js';
import type { Verdict } from '../delivery/verdict.js';
import type { Session } from '../session/session.js';
import { DeadLetterPlacement } from './dead-letter-placement.js';
import type { Outcome, OutcomeListener } from './outcome.js';
import { RetryPlacement, type RetryPlacementSettings } from './retry-placement.js';
import { UnseenMessages } from './unseen-messages.js';
import { planOf, type TracedPlan, tracedVerdict, type VerdictPlan } from './verdict-plan.js';
import { VerdictsInProgress } from './verdicts-in-progress.js';

export interface SettlementSettings extends Omit<RetryPlacementSettings, 'inProgress' | 'onPlaced'> {
  readonly tracer?: ConsumerTracer | undefined;
  readonly noAck: boolean;
  readonly duplicates: DuplicateFilter;
  readonly onOutcome: OutcomeListener | undefined;
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
  readonly #inProgress: VerdictsInProgress;
  readonly #retries: RetryPlacement;
  readonly #deadLetters: DeadLetterPlacement;
  readonly #unseen = new UnseenMessages();

  constructor(settings: SettlementSettings) {
    this.#settings = settings;
    const { contract, republisher, events, clock, retryInPlace } = settings;
    const inProgress = new VerdictsInProgress(clock, (message) => done(message, false));
    this.#inProgress = inProgress;
    const common = { contract, republisher, events, clock, inProgress };
    this.#retries = new RetryPlacement({
      ...common,
      retryInPlace,
      // Not remembered as done: what another process gives back can look the same, and no handler has finished with it.
      onPlaced: (message) => void this.#acknowledge(message, false),
    });
    this.#deadLetters = new DeadLetterPlacement({
      ...common,
      onPlaced: (message, error) => this.#placed(message, error),
    });
  }

  /** Why dead letters cannot be published now. */
  get obstacle(): string | undefined {
    return this.#deadLetters.obstacle;
  }

  /** Settles a message that was given up on before and was redelivered. Returns false for any other. */
  settleGivenUp(message: ReceivedMessage): boolean {
    const known = this.#deadLetters.errorOf(message);
    return known !== undefined && message.settle({ kind: 'dead-letter', error: known.error });
  }

  /** Messages were lost with their channel before a handler saw them: they have not had the attempt that they were delivered for. */
  lostUnseen(messages: readonly ReceivedMessage[]): void {
    const { attempts } = this.#settings.contract.retry;
    for (const message of messages) if (message.attempt >= attempts) this.#unseen.add(message);
  }

  /** Gives up a message that came back after its last attempt, from this process or another one. Returns false for any other. */
  settleOutOfAttempts(message: ReceivedMessage): boolean {
    const { name, type, retry } = this.#settings.contract;
    if (!isPastLastAttempt(message.delivery, name, type, retry.attempts)) return false;
    if (this.#unseen.take(message)) return false;
    const error = new Error(`The message came back after the last of its ${retry.attempts} attempts`);
    return message.settle({ kind: 'dead-letter', error });
  }

  settle(message: ReceivedMessage, verdict: Verdict): boolean {
    const { tracer } = this.#settings;
    const plan = planOf(message, verdict, this.#settings);
    if (tracer?.hearsVerdicts && plan.kind !== 'park') return this.#traced(tracer, message, plan, verdict);
    message.loopRun?.succeed();
    return this.#carryOut(message, plan);
  }

  #traced(tracer: ConsumerTracer, message: ReceivedMessage, plan: TracedPlan, verdict: Verdict): boolean {
    const isRequest = this.#settings.answerFailure !== undefined;
    const trace = tracer.verdict(message, tracedVerdict(plan, verdict, isRequest));
    message.verdictTrace = trace;
    return trace.run(() => {
      message.loopRun?.succeed();
      const isDone = this.#carryOut(message, plan);
      if (!isDone) trace.succeed(false);
      return isDone;
    });
  }

  /** Returns false when the delivery is stale. */
  #carryOut(message: ReceivedMessage, plan: VerdictPlan): boolean {
    // A stale success is remembered, so that a redelivery is not handled again.
    if (plan.kind === 'ack') {
      const isDone = this.#ack(message);
      // For a duplicate, no handler has finished.
      if (isDone && !plan.isDuplicate) this.#notify(message, 'acked', undefined);
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
        this.#notify(message, 'requeued', undefined);
        this.counts.requeued++;
        return done(message, session.requeueUnseen(delivery.deliveryTag));
      case 'reject':
        this.#notify(message, 'requeued', undefined);
        this.counts.requeued++;
        return done(message, session.requeueFailed(delivery.deliveryTag));
      case 'dead-letter':
        this.#deadLetter(message, plan.error);
        return true;
      case 'retry':
        this.#retry(message, plan.error, plan.delayMs);
        return true;
      case 'park':
        this.#settings.park?.(message, plan.delayMs);
        return true;
      case 'forget':
        return done(message, true);
    }
  }

  /** The deliveries of a session are stale: none of its messages at rest can be requeued any more. */
  sessionLost(session: Session): void {
    this.#inProgress.sessionLost(session);
  }

  /** Discards the messages at rest without requeueing them: the channel is about to be closed. */
  abandon(): void {
    this.#inProgress.abandon();
  }

  /** From now on no message rests, and {@link settled} awaits what is left. */
  finish(): Promise<void> {
    return this.#inProgress.finish();
  }

  /** Ends the current rests, and resolves when every copy is confirmed or abandoned. */
  settled(): Promise<void> {
    return this.#inProgress.settled();
  }

  #ack(message: ReceivedMessage): boolean {
    const isDone = this.#acknowledge(message, true);
    if (isDone) this.counts.acked++;
    return isDone;
  }

  /**
   * Acknowledges, unless the delivery is stale: then returns false.
   *
   * @param isDone - nothing is left to do for the message: if the acknowledgement is lost, its redelivery is not handled again
   */
  #acknowledge(message: ReceivedMessage, isDone: boolean): boolean {
    const { duplicates, noAck } = this.#settings;
    const { delivery, session, verdictTrace } = message;
    if (session.ack(delivery.deliveryTag)) {
      if (isDone && !noAck) duplicates.acked(delivery);
      if (verdictTrace) session.traceAck(verdictTrace);
      return true;
    }
    if (isDone && !noAck) duplicates.stale(delivery);
    done(message, false);
    return this.#stale();
  }

  #notify(message: ReceivedMessage, outcome: Outcome, error: unknown): void {
    this.#settings.onOutcome?.(this.#settings.contract, message, outcome, error);
  }

  #stale(): false {
    this.counts.stale++;
    return false;
  }

  #retry(message: ReceivedMessage, error: unknown, delayMs: number): void {
    this.counts.retried++;
    this.#notify(message, 'retried', error);
    if (this.#settings.retryInPlace?.(message, delayMs)) done(message, true);
    else this.#retries.place(message, delayMs);
  }

  #deadLetter(message: ReceivedMessage, error: unknown): void {
    const { contract, answerFailure } = this.#settings;
    const { deadLetter } = contract;
    if (answerFailure) {
      this.#answered(message, answerFailure(message, error), 'failed', error);
      return;
    }
    this.#notify(message, 'dead-lettered', error);
    if (deadLetter !== undefined) {
      this.#deadLetters.place(message, error, deadLetter);
      return;
    }
    this.#deadLettered(message, error);
    done(message, message.session.drop(message.delivery.deliveryTag));
  }

  #placed(message: ReceivedMessage, error: unknown): void {
    this.#deadLettered(message, error);
    // Remembered as done: if the acknowledgement is lost, nothing is left to do for the message.
    this.#acknowledge(message, true);
  }

  #deadLettered({ id, attempt }: ReceivedMessage, error: unknown): void {
    const { contract, events } = this.#settings;
    this.counts.deadLettered++;
    events.emit('dead-lettered', {
      queue: contract.name,
      deadLetterQueue: contract.deadLetter,
      messageId: id,
      attempt,
      error,
    });
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
      this.#notify(message, outcome, error);
    };
    if (!answered) then();
    else this.#inProgress.published(answered, then, (reason) => this.#retries.setBack(message, reason));
  }
}

/** Ends the trace of a verdict. */
function done(message: ReceivedMessage, isCarriedOut: boolean): boolean {
  message.verdictTrace?.succeed(isCarriedOut);
  return isCarriedOut;
}
