import { type Clock, withDeadline } from '../clock.js';
import type { QueueContract } from '../contracts/queue.js';
import { deferred } from '../deferred.js';
import { ClosedError, ConfigurationError, TimeoutError } from '../errors.js';
import type { Events } from '../events.js';
import type { OutcomeListener } from '../internals.js';
import { checkOptions, isDuration } from '../options.js';
import type { Connection } from '../transport/connection.js';
import { type Delivery, TransportError } from '../transport/port.js';
import { AckMemory } from './ack-memory.js';
import type { Consumer, ConsumerStats } from './consumer-api.js';
import type { ResolvedConsumerOptions } from './consumer-options.js';
import { type ConsumerEvent, type ConsumerState, isPaused, transition } from './consumer-state.js';
import { HandlerWorker } from './handler-worker.js';
import { Inbox } from './inbox.js';
import { Intake } from './intake.js';
import { type Message, ReceivedMessage } from './message.js';
import { MessageStream } from './message-stream.js';
import type { Republisher } from './republisher.js';
import type { Session } from './session.js';
import { Settlement } from './settlement.js';
import { Subscription } from './subscription.js';
import type { Worker } from './worker.js';

/** What a consumer needs of its broker. */
export interface ConsumerHost {
  readonly connection: Connection;
  readonly republisher: Republisher;
  readonly clock: Clock;
  readonly events: Events;
  readonly maxBodyBytes: number;
  readonly onOutcome: OutcomeListener | undefined;
  /** It uses the broker: from the start, and again when a loop over it begins. */
  onConsumerActive(consumer: QueueConsumer): void;
  /** It does not any more: closed, or left by its last loop. */
  onConsumerIdle(consumer: QueueConsumer): void;
}

const DEFAULT_CLOSE_TIMEOUT_MS = 30_000;

/** The consumer behind {@link Consumer}, without its types. */
export class QueueConsumer implements Consumer {
  readonly contract: QueueContract;
  readonly ready: Promise<void>;
  readonly closed: Promise<Error | undefined>;
  readonly #options: ResolvedConsumerOptions;
  readonly #host: ConsumerHost;
  readonly #inbox = new Inbox();
  readonly #memory: AckMemory;
  readonly #settlement: Settlement;
  readonly #worker: Worker;
  readonly #stream: MessageStream | undefined;
  readonly #intake: Intake;
  readonly #ready = deferred<void>();
  readonly #closed = deferred<Error | undefined>();
  #state: ConsumerState = { status: 'starting', paused: false };
  #subscription: Subscription | undefined;
  #session: Session | undefined;
  #wasOpen = false;
  #lostAt: number | undefined;
  #closing: Promise<{ clean: boolean }> | undefined;
  #lastDeliveryAt: number | undefined;
  /** Commands to the server, one at a time. */
  #commands: Promise<void> = Promise.resolve();

  constructor(
    contract: QueueContract,
    handler: ((message: Message) => unknown) | undefined,
    options: ResolvedConsumerOptions,
    host: ConsumerHost,
  ) {
    this.contract = contract;
    this.ready = this.#ready.promise;
    this.closed = this.#closed.promise;
    this.#options = options;
    this.#host = host;
    const { clock, events, republisher, maxBodyBytes, onOutcome } = host;
    this.#memory = new AckMemory(options.prefetch, clock);
    this.#intake = new Intake({ contract, memory: this.#memory, maxBodyBytes, events });
    this.#settlement = new Settlement({
      contract,
      noAck: options.noAck,
      memory: this.#memory,
      republisher,
      events,
      clock,
      onOutcome,
    });
    const common = { inbox: this.#inbox, admit: (message: ReceivedMessage) => this.#intake.admit(message) };
    if (handler) {
      const { concurrency, handlerTimeoutMs } = options;
      const onError = (message: ReceivedMessage, error: unknown) => this.#handlerFailed(message, error);
      this.#worker = new HandlerWorker({ ...common, handler, concurrency, handlerTimeoutMs, clock, onError });
    } else {
      this.#stream = new MessageStream({
        ...common,
        onFirst: () => this.#attach(),
        onLast: (giveBack) => this.#detach(giveBack),
      });
      this.#worker = this.#stream;
    }
    host.onConsumerActive(this);
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (options.signal?.aborted) void this.close();
    else this.#subscribe();
  }

  get state(): ConsumerState {
    return this.#state;
  }

  get stats(): ConsumerStats {
    return {
      ...this.#settlement.counts,
      ...this.#intake.counts,
      inFlight: this.#worker.inFlight,
      waiting: this.#inbox.length,
    };
  }

  get health() {
    return {
      queue: this.contract.name,
      state: this.#state.status,
      lastDeliveryAt: this.#lastDeliveryAt === undefined ? undefined : new Date(this.#lastDeliveryAt),
      inFlight: this.#worker.inFlight,
    };
  }

  async pause(): Promise<void> {
    this.#apply({ type: 'pause' });
    await this.#reconcile();
  }

  async resume(): Promise<void> {
    this.#apply({ type: 'resume' });
    await this.#reconcile();
  }

  close(options?: { readonly timeoutMs?: number }): Promise<{ readonly clean: boolean }> {
    checkOptions('consumer.close', options, { timeoutMs: isDuration(0, { infinity: true }) });
    this.#closing ??= this.#shutDown(options?.timeoutMs ?? DEFAULT_CLOSE_TIMEOUT_MS);
    return this.#closing;
  }

  /** Stops at once: aborts the work, and leaves the channel to the closing connection. */
  abort(reason: Error): void {
    this.#subscription?.stop();
    this.#worker.abort(reason);
    this.#session?.end(new TransportError(reason.message));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    if (this.#stream) return this.#stream.iterate();
    throw new ConfigurationError(
      'handler',
      `The consumer of the queue '${this.contract.name}' has a handler, which gets its messages. For a loop, make one without a handler`,
    );
  }

  #subscribe(): void {
    const { contract } = this;
    const { connection, clock } = this.#host;
    this.#subscription = new Subscription(
      {
        contract,
        options: this.#options,
        connection,
        clock,
        isPaused: () => isPaused(this.#state),
        onDelivery: (delivery, session) => this.#deliver(delivery, session),
        onDelivering: (session) => {
          this.#session = session;
        },
        onOpened: (session) => this.#opened(session),
        onLost: (reason, session) => this.#lost(reason, session),
        onFailed: (error) => this.#fail(error),
      },
      this.#wasOpen,
    );
  }

  #opened(session: Session): void {
    const { clock, events } = this.#host;
    this.#session = session;
    this.#memory.channelOpened();
    this.#apply({ type: 'opened' });
    void this.#reconcile();
    this.#wasOpen = true;
    this.#ready.resolve();
    if (this.#lostAt === undefined) return;
    events.emit('consumer-recovered', {
      queue: this.contract.name,
      downMs: Math.round(clock.now() - this.#lostAt),
    });
    this.#lostAt = undefined;
  }

  #lost(reason: Error, session: Session | undefined): void {
    let isReplaced = false;
    if (session) {
      // A loop that was left and begun again has another one already.
      isReplaced = this.#session !== undefined && this.#session !== session;
      if (!isReplaced) this.#session = undefined;
      this.#inbox.dropSession(session);
      this.#settlement.sessionLost(session);
      this.#memory.channelLost(session.unsettled);
      this.#worker.sessionLost(
        session,
        new ClosedError(`The delivery was lost: ${reason.message}`, { cause: reason }),
      );
      if (!isReplaced && (this.#state.status === 'running' || this.#state.status === 'paused'))
        this.#lostAt = this.#host.clock.now();
    }
    if (!isReplaced) this.#apply({ type: 'lost', error: reason });
  }

  #fail(error: Error): void {
    this.#subscription?.stop();
    void this.#stream?.finish(error);
    if (!this.#stream) this.#worker.abort(error);
    this.#closing ??= Promise.resolve({ clean: false });
    this.#finished(error);
  }

  async #shutDown(timeoutMs: number): Promise<{ clean: boolean }> {
    this.#apply({ type: 'close' });
    const session = this.#session;
    const reason = new ClosedError(`The consumer of the queue '${this.contract.name}' was closed`);
    this.#subscription?.stop();
    let clean = true;
    try {
      await withDeadline(
        this.#host.clock,
        this.#windDown(session),
        timeoutMs,
        () => new TimeoutError('closing took too long'),
      );
    } catch {
      clean = false;
      this.#worker.abort(reason);
      session?.flush();
      session?.end(new TransportError(reason.message));
      void session?.close();
    }
    this.#finished(undefined);
    return { clean };
  }

  async #windDown(session: Session | undefined): Promise<void> {
    const finished = this.#worker.finish();
    await session?.pause().catch(() => {});
    this.#inbox.giveBack();
    // Not before: as long as it consumes, this consumer would get them itself.
    const settled = this.#settlement.finish();
    await finished;
    await settled;
    // What the last handlers left.
    await this.#settlement.finish();
    await session?.close();
  }

  #finished(error: Error | undefined): void {
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#apply(error ? { type: 'closed', error } : { type: 'closed' });
    this.#ready.reject(
      error ??
        new ClosedError(`The consumer of the queue '${this.contract.name}' was closed before it started`),
    );
    this.#closed.resolve(error);
    this.#host.onConsumerIdle(this);
  }

  readonly #onAbort = () => void this.close();

  /** Makes the session consume, or not, as the state says. One at a time, since each takes a round trip. */
  #reconcile(): Promise<void> {
    this.#commands = this.#commands.then(async () => {
      const session = this.#session;
      if (!session?.isLive) return;
      try {
        if (this.#state.status === 'running' && !session.isConsuming) await session.resume();
        if (this.#state.status === 'paused' && session.isConsuming) await session.pause();
        if (this.#state.status === 'paused') this.#inbox.giveBack();
        // What came while it was paused, and was not given back before it went on: nothing else may ever come.
        if (this.#state.status === 'running') this.#worker.fill();
      } catch (error) {
        // Started again, it does what the state says.
        session.end(error as TransportError);
      }
    });
    return this.#commands;
  }

  /** A loop begins over a consumer that its last loop had left. */
  #attach(): void {
    if (this.#state.status !== 'idle') return;
    this.#apply({ type: 'attach' });
    this.#host.onConsumerActive(this);
    this.#subscribe();
  }

  /** The last loop was left: gives everything back and holds nothing on the server, for nobody may ever look again. */
  async #detach(giveBack: () => void): Promise<void> {
    const session = this.#session;
    this.#apply({ type: 'detach' });
    if (this.#state.status !== 'idle') {
      giveBack();
      return;
    }
    this.#subscription?.stop();
    this.#lostAt = undefined;
    await session?.pause().catch(() => {});
    giveBack();
    this.#inbox.giveBack();
    // The verdict on the message in hand, given before the loop was left, may still be under way.
    await this.#settlement.settled();
    await session?.close();
    if (this.#state.status === 'idle') this.#host.onConsumerIdle(this);
  }

  #deliver(delivery: Delivery, session: Session): void {
    this.#lastDeliveryAt = this.#host.clock.wallNow();
    this.#inbox.push(new ReceivedMessage(delivery, session, this.#settlement));
    if (!isPaused(this.#state)) this.#worker.fill();
  }

  #handlerFailed({ id, attempt }: ReceivedMessage, error: unknown): void {
    this.#host.events.emit('handler-error', { queue: this.contract.name, messageId: id, attempt, error });
  }

  #apply(event: ConsumerEvent): void {
    this.#state = transition(this.#state, event);
  }
}
