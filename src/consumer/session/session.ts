import type { QueueType } from '../../contracts/types.js';
import { openDeclared } from '../../declarations/open-declared.js';
import type { VerdictTrace } from '../../diagnostics/consume.js';
import {
  type Channel,
  type ConsumeOptions,
  type Delivery,
  type Link,
  TransportError,
} from '../../transport/port.js';
import { deferred } from '../../util/promises.js';
import { realTimers } from '../../util/timers.js';
import { type AckDelay, AckSchedule } from './ack-schedule.js';
import { AckWindow } from './ack-window.js';
import { Consumption } from './consumption.js';
import { DeliveryRing } from './delivery-ring.js';
import { queueProgress, type SessionProgress, StreamProgress } from './progress.js';
import { type SessionEvent, type SessionState, transition } from './session-state.js';
import type { StreamPosition } from './stream-position.js';

/** The ring of deliveries does not grow beyond this, whatever the prefetch. */
const MAX_EXPECTED = 2_048;

export interface SessionOptions {
  readonly queue: string;
  readonly queueType: QueueType;
  readonly prefetch: number;
  readonly consume: ConsumeOptions;
  readonly onDelivery: (delivery: Delivery, session: Session) => void;
  /**
   * The time that an acknowledgement may wait for others while the server has room to deliver more; absent: no longer than this
   * turn of the event loop.
   */
  readonly ackDelay?: AckDelay | undefined;
  /** For a stream: the consumer's position. */
  readonly position?: StreamPosition | undefined;
  /**
   * Makes sure that the queue exists, on the session's own channel: a refusal closes the channel, and the next call opens
   * another.
   */
  readonly declare?: ((openChannel: () => Promise<Channel>) => Promise<void>) | undefined;
}

/**
 * One incarnation of a consumer: its channel from opening to closing, and the deliveries on it. A delivery cannot be settled
 * after its session has ended, because its tag means another message on the next channel.
 */
export class Session {
  readonly queue: string;
  readonly queueType: QueueType;
  /** Resolves, with the reason, when no more messages will be delivered. Never rejects. */
  readonly ended: Promise<TransportError>;
  readonly #options: SessionOptions;
  readonly #end = deferred<TransportError>();
  readonly #unsettled: DeliveryRing;
  readonly #progress: SessionProgress;
  readonly #acks: AckSchedule;
  #channel!: Channel;
  #window!: AckWindow;
  #consumption!: Consumption;
  #state: SessionState = { status: 'paused' };
  #wasFull = false;

  private constructor(options: SessionOptions) {
    this.#options = options;
    this.queue = options.queue;
    this.queueType = options.queueType;
    this.#unsettled = new DeliveryRing(Math.min(MAX_EXPECTED, options.prefetch));
    this.#progress = options.position ? new StreamProgress(options.position, this.#unsettled) : queueProgress;
    this.#acks = new AckSchedule(options.ackDelay, () => this.#write(() => this.#window.flush()));
    this.ended = this.#end.promise;
  }

  /** Opens a channel and consumes, unless it begins paused. Rejects with a `TransportError`. */
  static async open(link: Link, options: SessionOptions, paused: boolean): Promise<Session> {
    const session = new Session(options);
    const channel = await session.#openChannel(link);
    session.#consumption = session.#consume(channel);
    // In order, a stream's acknowledged messages never get further ahead of the unacknowledged ones than the prefetch.
    session.#window = new AckWindow(channel, { inOrder: !session.#progress.canRequeue });
    try {
      await session.#consumption.prepare();
      if (!paused) await session.resume();
      return session;
    } catch (error) {
      session.end(error as TransportError);
      await channel.close();
      throw error;
    }
  }

  /** Opens the channel, and declares. Rejects with a `TransportError`, or a `TopologyError`. */
  async #openChannel(link: Link): Promise<Channel> {
    let isDeclaring = true;
    const onClosed = (error: TransportError) => {
      if (!isDeclaring) this.end(error);
    };
    this.#channel = await openDeclared(
      () => link.openChannel({ confirms: false, onClosed }),
      async (openChannel) => this.#options.declare?.(openChannel),
    );
    isDeclaring = false;
    return this.#channel;
  }

  /** False once the channel is gone or abandoned: verdicts on its deliveries have no effect any more. */
  get isLive(): boolean {
    return this.#state.status !== 'ended';
  }

  get isConsuming(): boolean {
    return this.#consumption.isActive;
  }

  /** True when the session was closed after {@link leave}: nothing was lost. */
  get hasLeft(): boolean {
    return this.#state.status === 'ended' && this.#state.hasLeft;
  }

  /** The deliveries without a verdict. */
  get unsettled(): Iterable<Delivery> {
    return this.#unsettled;
  }

  get unsettledCount(): number {
    return this.#unsettled.size;
  }

  /** The current prefetch. */
  get prefetch(): number {
    return this.#consumption.prefetch;
  }

  get hasGrown(): boolean {
    return this.#consumption.hasGrown;
  }

  /** True when the server has used up the current prefetch at least once. */
  get wasFull(): boolean {
    return this.#wasFull;
  }

  /** Starts deliveries, also again after `pause`. */
  async resume(): Promise<void> {
    this.#become('resume');
    await this.#consumption.start();
  }

  /** Stops deliveries; messages that have arrived can still be settled. */
  async pause(): Promise<void> {
    this.#become('pause');
    const stopped = this.#consumption.stop();
    this.#acks.flushDelayed();
    await stopped;
  }

  /** Raises the prefetch. */
  grow(prefetch: number): void {
    this.#wasFull = false;
    this.#consumption.grow(prefetch).catch((error: TransportError) => this.end(error));
  }

  /** Returns to the initial prefetch. Rejects when the channel is gone. */
  async shrink(): Promise<void> {
    this.#wasFull = false;
    await this.#consumption.shrink();
  }

  #consume(channel: Channel): Consumption {
    const { queue, consume, prefetch } = this.#options;
    return new Consumption({
      channel,
      queue,
      prefetch,
      options: () => this.#progress.consumeOptions(consume),
      onBegin: () => this.#progress.begun(),
      onDelivery: (delivery) => {
        if (delivery) this.#deliver(delivery);
        // The queue is gone, its leader has moved, or the server has waited too long for an acknowledgement. In the last case
        // 4.3 answers a late acknowledgement with a delivery to the cancelled consumer: nothing more may be sent on this
        // channel.
        else this.end(new TransportError('the server cancelled the consumer'));
      },
    });
  }

  /**
   * Begins to leave a queue with a single active consumer. A `basic.cancel` would pass the queue on at once, while handlers
   * still run, and requeued messages would return behind those that the next consumer already has. So only acknowledgements
   * are sent until {@link close} closes the channel; the server then puts everything else back in its place.
   */
  leave(): void {
    this.#become('leave');
  }

  /** Continues after {@link leave}. */
  stay(): void {
    const before = this.#state;
    this.#become('stay');
    if (before.status !== 'leaving') return;
    for (const [tag, giveBack] of before.leftBehind) this.#settle(tag, giveBack);
  }

  /** Acknowledges with the next flush. Returns false when it is too late. */
  ack(tag: number): boolean {
    // Even if it is too late for the server: a redelivery is then skipped.
    this.#progress.handled(tag);
    if (!this.isLive) return false;
    if (!this.#options.consume.noAck) this.#acknowledge(tag);
    return true;
  }

  #acknowledge(tag: number): void {
    this.#window.ack(tag);
    this.#unsettled.delete(tag);
    // Acknowledgements must not wait if the server will soon stop delivering without them.
    this.#acks.request(this.#window.span * 2 < this.prefetch);
  }

  /** Requeues; counts as a failed attempt. */
  requeueFailed(tag: number): boolean {
    this.countRun(tag);
    return this.#giveBack(tag, () => this.#channel.reject(tag, { requeue: true }));
  }

  /** A run of the handler has failed. For a queue the server counts it when the message is requeued. */
  countRun(tag: number): void {
    this.#progress.failed(tag);
  }

  /** The failed runs before this delivery that the server has not counted. */
  runsBefore(tag: number): number {
    return this.#progress.runsOf(tag);
  }

  /** Requeues the unseen message; 4.3 does not count this as an attempt. */
  requeueUnseen(tag: number): boolean {
    return this.#giveBack(tag, () => this.#channel.nack(tag, { multiple: false, requeue: true }));
  }

  /** Drops the message: to the dead-letter target that the server knows, if any. */
  drop(tag: number): boolean {
    if (!this.#progress.canRequeue) return this.ack(tag);
    return this.#settle(tag, () => this.#channel.reject(tag, { requeue: false }));
  }

  /** Sends the gathered acknowledgements. */
  flush(): void {
    this.#acks.flush();
  }

  /** Ends the trace of an acknowledgement with whether it was written. */
  traceAck(trace: VerdictTrace): void {
    if (this.#options.consume.noAck) trace.succeed(true);
    else this.#acks.trace(trace);
  }

  /** Ends the session; its deliveries are stale from now on. */
  end(reason: TransportError): void {
    this.#finish('lost', reason);
  }

  /**
   * Sends the gathered acknowledgements and closes the channel; the server gives unsettled deliveries to other consumers.
   * Never rejects.
   */
  async close(): Promise<void> {
    this.flush();
    this.#finish('close', new TransportError('the consumer was closed'));
    await this.#channel.close();
  }

  #finish(event: 'close' | 'lost', reason: TransportError): void {
    if (!this.isLive) return;
    this.#become(event);
    this.#acks.stop();
    this.#progress.lost();
    this.#end.resolve(reason);
  }

  #become(event: SessionEvent): void {
    this.#state = transition(this.#state, event);
  }

  #deliver(delivery: Delivery): void {
    if (!this.isLive) return;
    if (!this.#options.consume.noAck) {
      this.#window.delivered(delivery.deliveryTag);
      this.#unsettled.add(delivery);
      // If a handler finishes at once, only its acknowledgements are outstanding.
      if (this.#window.span >= this.#consumption.prefetch) this.#wasFull = true;
    }
    if (this.#progress.delivered(delivery.deliveryTag)) this.#options.onDelivery(delivery, this);
    else this.#acknowledge(delivery.deliveryTag);
  }

  /** A stream cannot requeue: the message is delivered again from here, or from where the consumer will continue. */
  #keep(tag: number): true {
    realTimers.setImmediate(() => {
      const delivery = this.#unsettled.get(tag);
      if (!this.isLive || !delivery) return;
      if (this.#state.status !== 'paused') {
        this.#options.onDelivery(delivery, this);
        return;
      }
      this.#progress.missed(tag);
      this.#acknowledge(tag);
    });
    return true;
  }

  #giveBack(tag: number, giveBack: () => void): boolean {
    if (this.#state.status !== 'leaving') return this.#settle(tag, giveBack);
    this.#state.leftBehind.set(tag, giveBack);
    return true;
  }

  #settle(tag: number, settle: () => void): boolean {
    if (!this.isLive) return false;
    if (!this.#progress.canRequeue) return this.#keep(tag);
    if (this.#options.consume.noAck) return true;
    // In order: earlier acknowledgements are sent first.
    this.#window.settled(tag);
    this.#unsettled.delete(tag);
    return this.#write(settle);
  }

  #write(write: () => void): boolean {
    try {
      write();
      return true;
    } catch (error) {
      this.end(error as TransportError);
      return false;
    }
  }
}
