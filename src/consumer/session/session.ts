import type { QueueType } from '../../contracts/types.js';
import type { VerdictTrace } from '../../diagnostics/consume.js';
import {
  type Channel,
  type ConsumeOptions,
  type Delivery,
  type Link,
  TransportError,
} from '../../transport/port.js';
import type { Clock, Timer } from '../../util/clock.js';
import { deferred } from '../../util/promises.js';
import { realTimers } from '../../util/timers.js';
import { AckWindow } from './ack-window.js';
import { Consumption } from './consumption.js';
import { DeliveryRing } from './delivery-ring.js';
import { offsetIn, type StreamPosition } from './stream-position.js';

/** The ring of deliveries does not grow beyond this, whatever the prefetch. */
const MAX_EXPECTED = 2_048;

export interface SessionOptions {
  readonly queue: string;
  readonly queueType: QueueType;
  readonly prefetch: number;
  readonly consume: ConsumeOptions;
  readonly onDelivery: (delivery: Delivery, session: Session) => void;
  /**
   * How long an acknowledgement may wait for others while the server has room to deliver more; absent: no longer than this
   * turn of the event loop.
   */
  readonly ackDelay?: { readonly clock: Clock; readonly ms: number } | undefined;
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
  #channel!: Channel;
  #window!: AckWindow;
  readonly #unsettled: DeliveryRing;
  #consumption!: Consumption;
  #wasFull = false;
  /** The session consumes, or is about to. */
  #isWanted = false;
  #isLive = true;
  #flushScheduled = false;
  #delayedFlush: Timer | undefined;
  /** The traces of gathered acknowledgements. */
  #unwritten: VerdictTrace[] = [];
  /**
   * While the session is leaving: what would be requeued, and how. Discarded with the channel, or carried out if the session
   * stays.
   */
  #leftBehind: Map<number, () => void> | undefined;
  #hasLeft = false;

  private constructor(options: SessionOptions) {
    this.#options = options;
    this.queue = options.queue;
    this.queueType = options.queueType;
    this.#unsettled = new DeliveryRing(Math.min(MAX_EXPECTED, options.prefetch));
    this.ended = this.#end.promise;
  }

  /** Opens a channel and consumes, unless it begins paused. Rejects with a `TransportError`. */
  static async open(link: Link, options: SessionOptions, paused: boolean): Promise<Session> {
    const session = new Session(options);
    const channel = await session.#openChannel(link);
    session.#consumption = session.#consume(channel);
    // In order, a stream's acknowledged messages never get further ahead of the unacknowledged ones than the prefetch.
    session.#window = new AckWindow(channel, { inOrder: options.position !== undefined });
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
    let channel: Channel | undefined;
    const onClosed = (error: TransportError) => {
      if (!isDeclaring) this.end(error);
    };
    const open = async () => {
      if (!channel?.isOpen) channel = await link.openChannel({ confirms: false, onClosed });
      return channel;
    };
    try {
      await open();
      await this.#options.declare?.(open);
      const opened = await open();
      isDeclaring = false;
      this.#channel = opened;
      return opened;
    } catch (error) {
      await channel?.close();
      throw error;
    }
  }

  /** False once the channel is gone or abandoned: verdicts on its deliveries have no effect any more. */
  get isLive(): boolean {
    return this.#isLive;
  }

  get isConsuming(): boolean {
    return this.#consumption.isActive;
  }

  /** True when the session was closed after {@link leave}: nothing was lost. */
  get hasLeft(): boolean {
    return this.#hasLeft;
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
    this.#isWanted = true;
    await this.#consumption.start();
  }

  /** Stops deliveries; messages that have arrived can still be settled. */
  async pause(): Promise<void> {
    this.#isWanted = false;
    const stopped = this.#consumption.stop();
    if (this.#delayedFlush) this.flush();
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
    const { queue, consume, position, prefetch } = this.#options;
    return new Consumption({
      channel,
      queue,
      prefetch,
      options: () =>
        position
          ? { ...consume, arguments: { ...consume.arguments, 'x-stream-offset': position.argument } }
          : consume,
      onBegin: () => position?.begun(),
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
    this.#leftBehind ??= new Map();
  }

  /** Continues after {@link leave}. */
  stay(): void {
    const leftBehind = this.#leftBehind;
    this.#leftBehind = undefined;
    for (const [tag, giveBack] of leftBehind ?? []) this.#settle(tag, giveBack);
  }

  /** Acknowledges with the next flush. Returns false when it is too late. */
  ack(tag: number): boolean {
    const { position, consume } = this.#options;
    // Even if it is too late for the server: a redelivery is then skipped.
    position?.handled(this.#offset(tag), this);
    if (!this.#isLive) return false;
    if (!consume.noAck) this.#acknowledge(tag);
    return true;
  }

  #acknowledge(tag: number): void {
    this.#window.ack(tag);
    this.#unsettled.delete(tag);
    if (this.#flushScheduled) return;
    if (this.#delayFlush()) return;
    this.#flushScheduled = true;
    realTimers.setImmediate(() => this.flush());
  }

  /** Returns false when acknowledgements must not wait, because the server will soon stop delivering without them. */
  #delayFlush(): boolean {
    const { ackDelay } = this.#options;
    if (!ackDelay || ackDelay.ms === 0 || this.#window.span * 2 >= this.prefetch) return false;
    this.#delayedFlush ??= ackDelay.clock.setTimeout(() => this.flush(), ackDelay.ms);
    return true;
  }

  /** Requeues; counts as a failed attempt. */
  requeueFailed(tag: number): boolean {
    this.countRun(tag);
    return this.#giveBack(tag, () => this.#channel.reject(tag, { requeue: true }));
  }

  /** A run of the handler has failed. For a queue the server counts it when the message is requeued. */
  countRun(tag: number): void {
    this.#options.position?.failed(this.#offset(tag));
  }

  /** How often the handler failed with this message before its delivery, as far as the server does not know. */
  runsBefore(tag: number): number {
    return this.#options.position?.runsOf(this.#offset(tag)) ?? 0;
  }

  /** Requeues the unseen message; 4.3 does not count this as an attempt. */
  requeueUnseen(tag: number): boolean {
    return this.#giveBack(tag, () => this.#channel.nack(tag, { multiple: false, requeue: true }));
  }

  /** Drops the message: to the dead-letter target that the server knows, if any. */
  drop(tag: number): boolean {
    if (this.#options.position) return this.ack(tag);
    return this.#settle(tag, () => this.#channel.reject(tag, { requeue: false }));
  }

  /** Sends the gathered acknowledgements. */
  flush(): void {
    this.#flushScheduled = false;
    this.#clearDelay();
    if (!this.#isLive) return;
    if (this.#write(() => this.#window.flush())) this.#tellWritten(true);
  }

  /** Ends the trace of an acknowledgement with whether it was written. */
  traceAck(trace: VerdictTrace): void {
    if (this.#options.consume.noAck) trace.succeed(true);
    else this.#unwritten.push(trace);
  }

  #tellWritten(isWritten: boolean): void {
    if (this.#unwritten.length === 0) return;
    for (const trace of this.#unwritten.splice(0)) trace.succeed(isWritten);
  }

  /** Ends the session; its deliveries are stale from now on. */
  end(reason: TransportError): void {
    if (!this.#isLive) return;
    this.#isLive = false;
    this.#clearDelay();
    this.#tellWritten(false);
    this.#options.position?.lost(this);
    this.#end.resolve(reason);
  }

  /**
   * Sends the gathered acknowledgements and closes the channel; the server gives unsettled deliveries to other consumers.
   * Never rejects.
   */
  async close(): Promise<void> {
    this.flush();
    this.#hasLeft ||= this.#isLive && this.#leftBehind !== undefined;
    this.end(new TransportError('the consumer was closed'));
    await this.#channel.close();
  }

  #deliver(delivery: Delivery): void {
    if (!this.#isLive) return;
    if (!this.#options.consume.noAck) {
      this.#window.delivered(delivery.deliveryTag);
      this.#unsettled.add(delivery);
      // If a handler finishes at once, only its acknowledgements are outstanding.
      if (this.#window.span >= this.#consumption.prefetch) this.#wasFull = true;
    }
    const { position } = this.#options;
    if (position?.delivered(this.#offset(delivery.deliveryTag), this) === false)
      this.#acknowledge(delivery.deliveryTag);
    else this.#options.onDelivery(delivery, this);
  }

  #offset(tag: number): number {
    return offsetIn(this.#unsettled.get(tag)?.properties.headers) ?? -1;
  }

  /** A stream cannot requeue: the message is delivered again from here, or from where the consumer will continue. */
  #keep(tag: number): true {
    realTimers.setImmediate(() => {
      const delivery = this.#unsettled.get(tag);
      if (!this.#isLive || !delivery) return;
      if (this.#isWanted) {
        this.#options.onDelivery(delivery, this);
        return;
      }
      this.#options.position?.missed(this.#offset(tag), this);
      this.#acknowledge(tag);
    });
    return true;
  }

  #giveBack(tag: number, giveBack: () => void): boolean {
    if (!this.#isLive || !this.#leftBehind) return this.#settle(tag, giveBack);
    this.#leftBehind.set(tag, giveBack);
    return true;
  }

  #settle(tag: number, settle: () => void): boolean {
    if (!this.#isLive) return false;
    if (this.#options.position) return this.#keep(tag);
    if (this.#options.consume.noAck) return true;
    // In order: earlier acknowledgements are sent first.
    this.#window.settled(tag);
    this.#unsettled.delete(tag);
    return this.#write(settle);
  }

  #clearDelay(): void {
    if (this.#delayedFlush) this.#options.ackDelay?.clock.clearTimeout(this.#delayedFlush);
    this.#delayedFlush = undefined;
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
