import { isSingleActive } from '../contracts/guards.js';
import type { QueueContract } from '../contracts/types.js';
import type { Restored } from '../declarations/declarer.js';
import type { Landings } from '../delay/landings.js';
import { ClosedError, ConfigurationError, TimeoutError } from '../errors.js';
import type { Connection } from '../transport/connection/connection.js';
import { TransportError } from '../transport/port.js';
import { checkOptions, expectDuration } from '../util/checks.js';
import { type Clock, withDeadline } from '../util/clock.js';
import { DEFAULT_CLOSE_TIMEOUT_MS } from '../util/limits.js';
import { deferred } from '../util/promises.js';
import { closeOnAbort } from './close-on-abort.js';
import type { Consumer, ConsumerStats } from './consumer-api.js';
import { ConsumerReports } from './consumer-reports.js';
import { type ConsumerEvent, type ConsumerState, isPaused, transition } from './consumer-state.js';
import type { Message } from './delivery/message.js';
import type { ResolvedConsumerOptions } from './options/consumer-options.js';
import { PauseControl, pauseStyleOf } from './pause-control.js';
import { MessagePipeline, type PipelineHost } from './pipeline.js';
import { RecoveryLoop } from './recovery-loop.js';
import type { Session } from './session/session.js';
import { StreamPosition } from './session/stream-position.js';
import type { HandlerGuard, ResolveGuard } from './workers/handler-guard.js';
import { guardOf, type Work } from './workers/make-worker.js';

/** The parts of a broker that its consumers use. */
export interface ConsumerHost extends PipelineHost {
  readonly connection: Connection;
  /** Measures the deadline of `close`. */
  readonly closeClock: Clock;
  readonly resolveGuard: ResolveGuard;
  /** Takes on the delayed messages of its queue. */
  readonly landings: Pick<Landings, 'consumes' | 'delivered'>;
  /** A queue or exchange had disappeared and was declared again. */
  readonly onRestored: (restored: Restored) => void;
  /** The consumer uses the broker: from its start, and again when a loop over it begins. */
  onConsumerActive(consumer: QueueConsumer): void;
  /** The consumer does not use the broker any more: it is closed, or its last loop has left. */
  onConsumerIdle(consumer: QueueConsumer): void;
}

/** The consumer behind {@link Consumer}, without its types. */
export class QueueConsumer implements Consumer {
  readonly contract: QueueContract;
  readonly #options: ResolvedConsumerOptions;
  readonly #host: ConsumerHost;
  readonly #pipeline: MessagePipeline;
  readonly #pauseControl: PauseControl;
  /** Removes the listener on the signal. */
  readonly #unsubscribe: (() => void) | undefined;
  /** The position in a stream, shared by all sessions that read it. */
  readonly #position: StreamPosition | undefined;
  /** Wraps the handler, and has to be ready before the consumer is. */
  readonly #guard: HandlerGuard | undefined;
  readonly #ready = deferred<void>();
  readonly #setUp = deferred<void>();
  #isSetUp = false;
  readonly #closed = deferred<Error | undefined>();
  #state: ConsumerState = { status: 'starting', paused: false };
  #recoveryLoop: RecoveryLoop | undefined;
  #session: Session | undefined;
  #wasOpen = false;
  readonly #reports: ConsumerReports;
  #closing: Promise<{ clean: boolean }> | undefined;

  constructor(contract: QueueContract, work: Work, options: ResolvedConsumerOptions, host: ConsumerHost) {
    this.contract = contract;
    this.#options = options;
    this.#host = host;
    this.#guard = guardOf(work);
    this.#reports = new ConsumerReports(contract.name, host.events, host.clock);
    this.#pipeline = new MessagePipeline(contract, work, options, host, {
      onFirst: () => this.#attach(),
      onLast: (giveBack) => this.#detach(giveBack),
    });
    const current = () => ({ session: this.#session, state: this.#state });
    this.#pauseControl = new PauseControl(this.#pipeline, pauseStyleOf(contract, options.noAck), current);
    if (contract.type === 'stream')
      this.#position = new StreamPosition(options.offset, () => host.clock.wallNow());
    host.onConsumerActive(this);
    this.#unsubscribe = options.signal && closeOnAbort(this, options.signal);
    if (options.signal?.aborted) void this.close();
    else this.#begin();
  }

  /** True if a pause passes the queue on to the next single active consumer. */
  get #passesOn(): boolean {
    return isSingleActive(this.contract);
  }

  /** True once the queue exists and is bound, so that it misses no message. Also true of a consumer that was stopped before. */
  get isSetUp(): boolean {
    return this.#isSetUp;
  }

  /** Resolves when {@link isSetUp} becomes true. */
  get setUp(): Promise<void> {
    return this.#setUp.promise;
  }

  get ready(): Promise<void> {
    this.#reports.watched();
    return this.#ready.promise;
  }

  get closed(): Promise<Error | undefined> {
    this.#reports.watched();
    return this.#closed.promise;
  }

  get state(): ConsumerState {
    return this.#state;
  }

  get stats(): ConsumerStats {
    return { ...this.#pipeline.stats, prefetch: this.#session?.prefetch ?? this.#options.prefetch };
  }

  get health() {
    const { inFlight, lastDeliveryAt, obstacle } = this.#pipeline;
    return {
      queue: this.contract.name,
      state: this.#state.status,
      lastDeliveryAt: lastDeliveryAt === undefined ? undefined : new Date(lastDeliveryAt),
      inFlight,
      error:
        (this.#state.status === 'closed' ? this.#state.error?.message : undefined) ??
        this.#guard?.obstacle ??
        obstacle,
    };
  }

  async pause(): Promise<void> {
    this.#apply({ type: 'pause' });
    await this.#pauseControl.reconcile();
  }

  async resume(): Promise<void> {
    this.#apply({ type: 'resume' });
    await this.#pauseControl.reconcile();
  }

  close(options?: { readonly timeoutMs?: number | undefined }): Promise<{ readonly clean: boolean }> {
    checkOptions('consumer.close', options, { timeoutMs: expectDuration(0, { infinity: true }) });
    this.#closing ??= this.#shutDown(options?.timeoutMs ?? DEFAULT_CLOSE_TIMEOUT_MS);
    return this.#closing;
  }

  /** Stops at once: aborts the running work, and leaves the channel to the closing connection. */
  abort(reason: Error): void {
    this.#recoveryLoop?.stop();
    this.#pipeline.abort(reason);
    // Sends the acknowledgements that are still waiting to be sent together.
    this.#session?.flush();
    this.#session?.end(new TransportError(reason.message));
  }

  /** Ends permanently: the loops throw the error. */
  fail(error: Error): void {
    // A broker that closes ends its consumers on purpose.
    if (!(error instanceof ClosedError) && this.#state.status !== 'closed') this.#reports.failed(error);
    this.#recoveryLoop?.stop();
    this.#pipeline.fail(error);
    this.#closing ??= Promise.resolve({ clean: false });
    this.#finished(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    this.#reports.watched();
    const loop = this.#pipeline.iterate();
    if (loop) return loop;
    throw new ConfigurationError(
      'handler',
      `The consumer of the queue '${this.contract.name}' has a handler, which receives its messages. For a loop, create a consumer without a handler`,
    );
  }

  #begin(): void {
    this.#subscribe();
    this.#guard?.start().catch((error: Error) => this.fail(error));
  }

  #subscribe(): void {
    const { contract } = this;
    const { connection, clock, landings, onRestored } = this.#host;
    this.#recoveryLoop = new RecoveryLoop(
      {
        contract,
        options: this.#options,
        connection,
        clock,
        position: this.#position,
        isPaused: () => isPaused(this.#state),
        // A consumer of a stream may begin with the next message: it is set up once it consumes.
        onDeclared: () => contract.type !== 'stream' && this.#nowSetUp(),
        onRestored,
        onDelivery: (delivery, session) => {
          landings.delivered(contract, delivery);
          this.#pipeline.deliver(delivery, session);
          if (!isPaused(this.#state)) this.#pipeline.fill();
        },
        onDelivering: (session) => {
          this.#session = session;
        },
        onOpened: (session) => this.#opened(session),
        onLost: (reason, session) => this.#sessionLost(reason, session),
        onFailed: (error) => this.fail(error),
      },
      this.#wasOpen,
    );
  }

  #nowSetUp(): void {
    this.#isSetUp = true;
    this.#setUp.resolve();
  }

  #opened(session: Session): void {
    this.#nowSetUp();
    if (!this.#wasOpen) {
      this.#host.landings.consumes(this.contract);
      this.#reports.opened(this.contract, this.#options, this.#host.connection.current?.serverVersion ?? '');
    }
    this.#session = session;
    this.#pipeline.sessionOpened();
    this.#apply({ type: 'opened' });
    void this.#pauseControl.reconcile();
    this.#wasOpen = true;
    if (this.#guard) this.#guard.start().then(this.#ready.resolve, () => {});
    else this.#ready.resolve();
    this.#reports.recovered();
  }

  #sessionLost(reason: Error, session: Session | undefined): void {
    let isReplaced = false;
    // The session has passed its queue on, and the next one begins paused.
    const hasLeft = session?.hasLeft === true;
    if (session) {
      // A loop that was left and restarted has another session already.
      isReplaced = this.#session !== undefined && this.#session !== session;
      if (!isReplaced) this.#session = undefined;
      this.#pipeline.sessionLost(session, reason);
      if (!isReplaced && !hasLeft && (this.#state.status === 'running' || this.#state.status === 'paused'))
        this.#reports.lost(reason);
    }
    if (!isReplaced && !hasLeft) this.#apply({ type: 'lost', error: reason });
  }

  async #shutDown(timeoutMs: number): Promise<{ clean: boolean }> {
    this.#apply({ type: 'close' });
    const session = this.#session;
    const reason = new ClosedError(`The consumer of the queue '${this.contract.name}' was closed`);
    this.#recoveryLoop?.stop();
    let clean = true;
    try {
      await withDeadline(
        this.#host.closeClock,
        this.#windDown(session),
        timeoutMs,
        () => new TimeoutError('closing did not finish in time'),
      );
    } catch {
      clean = false;
      this.abort(reason);
      void session?.close();
    }
    this.#finished(undefined);
    return { clean };
  }

  async #windDown(session: Session | undefined): Promise<void> {
    const finished = this.#pipeline.finishWork();
    await this.#stopDeliveries(session);
    if (!this.#passesOn) this.#pipeline.giveBackUnseen();
    // Not earlier: as long as this consumer consumes, the requeued messages would come back to it.
    const settled = this.#pipeline.settleAll();
    await finished;
    await settled;
    // The verdicts of the last handlers.
    await this.#pipeline.settleAll();
    await session?.close();
  }

  /** Stops deliveries. Those of a queue with a single active consumer stop when the channel is closed. */
  async #stopDeliveries(session: Session | undefined): Promise<void> {
    if (this.#passesOn) session?.leave();
    else await session?.pause().catch(() => {});
  }

  #finished(error: Error | undefined): void {
    this.#nowSetUp();
    this.#unsubscribe?.();
    this.#guard?.stop();
    this.#apply(error ? { type: 'closed', error } : { type: 'closed' });
    this.#ready.reject(
      error ??
        new ClosedError(`The consumer of the queue '${this.contract.name}' was closed before it started`),
    );
    this.#closed.resolve(error);
    this.#host.onConsumerIdle(this);
  }

  /** A loop begins over a consumer whose last loop had left. */
  #attach(): void {
    if (this.#state.status !== 'idle') return;
    this.#apply({ type: 'attach' });
    this.#host.onConsumerActive(this);
    this.#subscribe();
  }

  /** The last loop was left: requeues everything and holds nothing on the server, because the program may never loop again. */
  async #detach(giveBack: () => void): Promise<void> {
    const session = this.#session;
    this.#apply({ type: 'detach' });
    if (this.#state.status !== 'idle') {
      giveBack();
      return;
    }
    this.#recoveryLoop?.stop();
    this.#nowSetUp();
    this.#reports.forgetLoss();
    // The consumer starts again only for another loop.
    this.#ready.reject(
      new ClosedError(`The loop over the queue '${this.contract.name}' was left before its consumer started`),
    );
    await this.#stopDeliveries(session);
    giveBack();
    if (!this.#passesOn) this.#pipeline.giveBackUnseen();
    // The verdict on the current message, given before the loop was left, may still be in progress.
    await this.#pipeline.settled();
    await session?.close();
    if (this.#state.status === 'idle') this.#host.onConsumerIdle(this);
  }

  #apply(event: ConsumerEvent): void {
    this.#state = transition(this.#state, event);
  }
}
