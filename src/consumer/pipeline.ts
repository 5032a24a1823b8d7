import { subscribedExchangeOf } from '../contracts/exchange.js';
import type { QueueContract } from '../contracts/types.js';
import { ConsumerTracer } from '../diagnostics/consume.js';
import { ClosedError } from '../errors.js';
import type { Events } from '../event-emitter.js';
import type { Republisher } from '../producer/republisher.js';
import type { Connection } from '../transport/connection/connection.js';
import type { Delivery } from '../transport/port.js';
import type { Clock } from '../util/clock.js';
import type { ConsumerStats } from './consumer-api.js';
import { AdaptivePrefetch } from './delivery/adaptive-prefetch.js';
import { DuplicateFilter } from './delivery/duplicate-filter.js';
import { InboundValidator } from './delivery/inbound-validator.js';
import { type Message, ReceivedMessage } from './delivery/message.js';
import { PrefetchBuffer } from './delivery/prefetch-buffer.js';
import { MAX_HOLD_MS } from './limits.js';
import type { ResolvedConsumerOptions } from './options/consumer-options.js';
import type { Session } from './session/session.js';
import { InPlaceRetries } from './settlement/in-place-retries.js';
import type { OutcomeListener } from './settlement/outcome.js';
import { ParkedMessages } from './settlement/parked-messages.js';
import { Settlement } from './settlement/settlement.js';
import type { HandlerGuard } from './workers/handler-guard.js';
import { LoopWorker, type LoopWorkerSettings } from './workers/loop-worker.js';
import { guardOf, makeWorker, type Work } from './workers/make-worker.js';
import type { Worker } from './workers/worker.js';

/** A dead connection counts as lost within this many heartbeats. */
const HEARTBEATS_TO_LOSS = 3;

/** The parts of a broker that a message pipeline uses. */
export interface PipelineHost {
  /** The consuming connection. */
  readonly connection: Pick<Connection, 'origin'>;
  readonly republisher: Republisher;
  readonly clock: Clock;
  readonly events: Events;
  readonly maxBodyBytes: number;
  readonly heartbeatSeconds: number;
  readonly onOutcome: OutcomeListener | undefined;
  /** For a responder: answers a request that failed. */
  readonly answerFailure?: (message: ReceivedMessage, error: unknown) => Promise<void> | undefined;
}

/**
 * The way of a message through a consumer, from its delivery to its verdict: buffer, validator, handler or loop, settlement.
 */
export class MessagePipeline {
  readonly #buffer = new PrefetchBuffer();
  readonly #duplicates: DuplicateFilter;
  readonly #validator: InboundValidator;
  readonly #settlement: Settlement;
  /** For messages that are retried in place, without leaving this process. */
  readonly #inPlaceRetries: InPlaceRetries | undefined;
  /** For messages that wait for something outside of this process. */
  readonly #parked: ParkedMessages | undefined;
  /** The guard around the handler. */
  readonly #guard: HandlerGuard | undefined;
  readonly #worker: Worker;
  /** The worker, if loops take the messages. */
  readonly #loops: LoopWorker | undefined;
  readonly #queue: string;
  readonly #events: Events;
  readonly #clock: Clock;
  #lastDeliveryAt: number | undefined;

  constructor(
    contract: QueueContract,
    work: Work,
    options: ResolvedConsumerOptions,
    host: PipelineHost,
    loops: Pick<LoopWorkerSettings, 'onFirst' | 'onLast'>,
  ) {
    const { clock, events, republisher, maxBodyBytes, onOutcome, answerFailure } = host;
    this.#queue = contract.name;
    this.#events = events;
    this.#clock = clock;
    const windowMs = HEARTBEATS_TO_LOSS * host.heartbeatSeconds * 1_000;
    const duplicates = new DuplicateFilter({ capacity: options.maxPrefetch, windowMs, clock });
    this.#duplicates = duplicates;
    this.#validator = new InboundValidator({ contract, duplicates, maxBodyBytes, events });
    this.#guard = guardOf(work);
    const onDue = (message: ReceivedMessage, before: ReceivedMessage) => this.#runAgain(message, before);
    if (this.#guard) this.#parked = new ParkedMessages(onDue);
    const isStream = contract.type === 'stream';
    const maxHoldMs = isStream ? Number.POSITIVE_INFINITY : MAX_HOLD_MS;
    const inPlace = isStream || options.orderBy ? new InPlaceRetries({ clock, maxHoldMs, onDue }) : undefined;
    this.#inPlaceRetries = inPlace;
    const tracer = tracerOf(contract, host);
    this.#settlement = new Settlement({
      contract,
      tracer,
      noAck: options.noAck,
      duplicates,
      republisher,
      events,
      clock,
      onOutcome,
      retryInPlace: inPlace && ((message, delayMs) => inPlace.retry(message, delayMs)),
      park: (message, delayMs) => this.#parked?.park(message, delayMs),
      answerFailure,
    });
    const common = {
      tracer,
      buffer: this.#buffer,
      meter: this.#meterOf(options),
      admit: (message: ReceivedMessage) => this.#admit(message),
    };
    if (work) {
      const onFailed = this.#handlerFailed;
      const isWaiting = this.#isWaiting;
      this.#worker = makeWorker(work, options, isStream, { ...common, clock, onFailed, isWaiting });
    } else {
      this.#loops = new LoopWorker({ ...common, ...loops });
      this.#worker = this.#loops;
    }
  }

  /** Measures the runs where the prefetch may grow. */
  #meterOf({ concurrency, prefetch, maxPrefetch }: ResolvedConsumerOptions): AdaptivePrefetch | undefined {
    if (maxPrefetch <= prefetch) return undefined;
    const onTooMuch = (session: Session, kept: number) => void this.#giveBackBeyond(session, kept);
    return new AdaptivePrefetch({ clock: this.#clock, concurrency, maxPrefetch, onTooMuch });
  }

  readonly #handlerFailed = (message: ReceivedMessage, error: unknown): void => {
    const { id, attempt, awaitsGuard } = message;
    // No handler has failed as long as its guard has not let it begin.
    if (!awaitsGuard) {
      const details = { queue: this.#queue, messageId: id, attempt, error };
      this.#events.emit('handler-error', message.abortReason ? { ...details, aborted: true } : details);
    }
    message.fail(error);
  };

  /** True while the message waits here for another run. */
  readonly #isWaiting = (message: ReceivedMessage): boolean =>
    (this.#inPlaceRetries?.has(message) || this.#parked?.has(message)) ?? false;

  /** Decodes and validates; false when the message is settled instead. A promise if the schema is asynchronous. */
  #admit(message: ReceivedMessage): boolean | Promise<boolean> {
    if (this.#settlement.settleGivenUp(message)) return false;
    const isValid = this.#validator.admit(message);
    if (typeof isValid === 'boolean') return isValid && !this.#settlement.settleOutOfAttempts(message);
    return isValid.then((it) => it && !this.#settlement.settleOutOfAttempts(message));
  }

  get stats(): Omit<ConsumerStats, 'prefetch'> {
    return {
      ...this.#settlement.counts,
      ...this.#validator.counts,
      duplicates: this.#guard?.duplicates ?? 0,
      inFlight: this.#worker.inFlight,
      waiting: this.#buffer.length + (this.#worker.waiting ?? 0),
    };
  }

  get inFlight(): number {
    return this.#worker.inFlight;
  }

  /** Why the dead letters of messages that are kept here cannot be published now. */
  get obstacle(): string | undefined {
    return this.#settlement.obstacle;
  }

  /** Milliseconds since 1970. */
  get lastDeliveryAt(): number | undefined {
    return this.#lastDeliveryAt;
  }

  /** A new loop; undefined if a handler gets the messages. */
  iterate(): AsyncIterableIterator<Message> | undefined {
    return this.#loops?.iterate();
  }

  /** Keeps a delivery until {@link fill} finds room for it. */
  deliver(delivery: Delivery, session: Session): void {
    const now = this.#clock.wallNow();
    this.#lastDeliveryAt = now;
    const runs = session.runsBefore(delivery.deliveryTag);
    this.#buffer.push(new ReceivedMessage(delivery, session, this.#settlement, runs, now));
  }

  /** Starts as much work as there is room for. */
  fill(): void {
    this.#worker.fill();
  }

  sessionOpened(): void {
    this.#duplicates.channelOpened();
  }

  /** The deliveries of the session are stale. */
  sessionLost(session: Session, reason: Error): void {
    this.#settlement.lostUnseen(this.#buffer.dropSession(session));
    this.#settlement.sessionLost(session);
    this.#inPlaceRetries?.sessionLost(session);
    this.#parked?.sessionLost(session);
    this.#duplicates.channelLost(session.unsettled);
    this.#worker.sessionLost(
      session,
      new ClosedError(`The delivery was lost: ${reason.message}`, { cause: reason }),
    );
  }

  /** Starts nothing new until {@link resumeTaking}: deliveries wait here meanwhile, within the prefetch. */
  stopTaking(): void {
    this.#buffer.stopTaking();
    this.#collect();
  }

  resumeTaking(): void {
    this.#buffer.resumeTaking();
  }

  /** Requeues the messages that no handler or loop has seen. */
  giveBackUnseen(): void {
    for (const { session, delivery } of this.#takenAhead()) session.requeueUnseen(delivery.deliveryTag);
    this.#buffer.giveBack();
  }

  /** Resolves when no work is running and every verdict is carried out. */
  async quiet(): Promise<void> {
    // While verdicts are carried out, another run can begin.
    do {
      await this.#worker.idle();
      await this.settled();
    } while (this.#worker.inFlight > 0);
  }

  /** Leaves all but this many of the oldest messages to other workers. */
  async #giveBackBeyond(session: Session, kept: number): Promise<void> {
    // Not earlier: the requeued messages would come back here.
    await session.shrink().catch(() => {});
    if (!session.isLive) return;
    this.#collect();
    this.#buffer.giveBack(kept);
    this.fill();
  }

  /** Starts nothing new, and resolves when the running work has finished. */
  finishWork(): Promise<void> {
    return this.#worker.finish();
  }

  /** Resolves when every verdict so far is carried out. */
  settled(): Promise<void> {
    this.#inPlaceRetries?.giveBack();
    this.#parked?.giveBack();
    return this.#settlement.settled();
  }

  /** Like {@link settled}, and from now on no message waits here for its next attempt. */
  settleAll(): Promise<void> {
    this.#inPlaceRetries?.finish();
    this.#parked?.finish();
    return this.#settlement.finish();
  }

  /** The consumer has failed: loops throw the error, and handlers are aborted with it. */
  fail(error: Error): void {
    if (this.#loops) void this.#loops.finish(error);
    else this.#worker.abort(error);
  }

  /** Aborts the running work, and does not wait for it any longer. */
  abort(reason: Error): void {
    this.#worker.abort(reason);
    this.#settlement.abandon();
  }

  /** Puts messages that were taken ahead of their turn back into the buffer, in order. */
  #collect(): void {
    for (const message of [...this.#takenAhead()].reverse()) this.#buffer.putBack(message);
  }

  #takenAhead(): readonly ReceivedMessage[] {
    return this.#worker.drain?.() ?? [];
  }

  #runAgain(message: ReceivedMessage, failed: ReceivedMessage): void {
    if (this.#worker.runAgain) {
      this.#worker.runAgain(message, failed);
      return;
    }
    this.#buffer.putBack(message);
    this.#worker.fill();
  }
}

function tracerOf(contract: QueueContract, { connection, clock }: PipelineHost): ConsumerTracer {
  return new ConsumerTracer({
    origin: connection.origin,
    queue: contract.name,
    subscribedTo: subscribedExchangeOf(contract),
    wallNow: () => clock.wallNow(),
  });
}
