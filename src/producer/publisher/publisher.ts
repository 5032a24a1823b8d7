import type { Contract } from '../../contracts/topology.js';
import { ClosedError, ConfigurationError, ConnectionError, TopologyError } from '../../errors.js';
import { Backoff, channelBackoff } from '../../transport/connection/backoff.js';
import type { Connection } from '../../transport/connection/connection.js';
import {
  type ChannelOptions,
  type Link,
  type OutgoingMessage,
  type Returned,
  TransportError,
} from '../../transport/port.js';
import { type Clock, sleep } from '../../util/clock.js';
import { ConfirmWindow } from './confirm-window.js';
import { Declarations } from './declarations.js';
import { type AddOptions, PendingSend, type Receipt } from './pending-send.js';
import { PendingSends } from './pending-sends.js';
import type { PublishingChannel } from './publishing-channel.js';
import { SendErrors } from './send-errors.js';
import { StallTimeout } from './stall-timeout.js';

/** The most that is published and not confirmed, in bytes: amqplib buffers without a bound when the socket stalls. */
const MAX_IN_FLIGHT_BYTES = 16 * 1024 * 1024;

export interface PublisherSettings {
  /** How it is called in messages, such as `the queue 'emails'`. */
  readonly target: string;
  readonly connection: Connection;
  readonly clock: Clock;
  /** What has to be declared before the first publish; undefined: nothing. */
  readonly contract: Contract | undefined;
  readonly maxInFlight: number;
  readonly maxBuffered: number;
  /** Opens another channel than one with a confirm for each message. */
  readonly openChannel?: (link: Link, options: ChannelOptions) => Promise<PublishingChannel>;
}

type OutboxState = { readonly status: 'idle' } | { readonly status: 'opening' } | OpenState;

interface OpenState {
  readonly status: 'open';
  readonly channel: PublishingChannel;
  readonly window: ConfirmWindow;
  readonly openedAt: number;
}

/**
 * Sends on their way to the server: a bounded list of those that wait, a bounded window of those that are published, a deadline
 * for each. When its channel is lost, what was not confirmed goes back to the head of the list and out again with the same id.
 *
 * | state   | add, flush                  | opened | refused for good                 | failed                 | channel closed, replaced | close, abort                  |
 * |---------|-----------------------------|--------|----------------------------------|------------------------|--------------------------|-------------------------------|
 * | idle    | opening, if something waits |        |                                  |                        |                          | idle                          |
 * | opening |                             | open   | idle, and what waits is rejected | opening, after a delay |                          | idle, when nothing waits      |
 * | open    | publishes                   |        |                                  |                        | idle, then as on flush   | idle, when nothing is pending |
 */
export class Publisher {
  readonly #settings: PublisherSettings;
  readonly #sends: PendingSends;
  readonly #backoff: Backoff;
  readonly #errors: SendErrors;
  readonly #declarations: Declarations;
  /** Aborted by `abort`: nothing is waited for any more. */
  readonly #aborting = new AbortController();
  /** Ids of the caller's own choice that are in flight: two of a kind could not be told apart when one comes back. */
  readonly #ownIds = new Set<string>();
  #state: OutboxState = { status: 'idle' };
  #isClosed = false;
  /** How many confirms have come, to see whether the server answers at all. */
  #confirms = 0;
  readonly #stallTimeout = new StallTimeout();

  constructor(settings: PublisherSettings) {
    this.#settings = settings;
    this.#sends = new PendingSends(settings.clock, (pending) => this.#expire(pending));
    this.#backoff = new Backoff(channelBackoff, settings.clock.random);
    this.#errors = new SendErrors(settings.target, settings.connection);
    const { connection, clock, contract } = settings;
    this.#declarations = new Declarations({
      connection,
      clock,
      contract,
      signal: this.#aborting.signal,
      onDone: () => this.flush(),
      onRefused: (error, isMeant) => this.#sends.failWaiting(() => error, isMeant),
    });
  }

  /** Sends that are not settled. */
  get pending(): number {
    return this.#sends.count;
  }

  /** Messages that are published and not confirmed. */
  get inFlight(): number {
    return this.#state.status === 'open' ? this.#state.window.size : 0;
  }

  /**
   * Takes a message. The promise resolves with the receipt when the server has confirmed and not returned it, and settles
   * within `timeoutMs` whatever happens.
   */
  add(message: OutgoingMessage, receipt: Receipt, options: AddOptions): Promise<Receipt> {
    return new Promise<Receipt>((resolve, reject) => {
      const { timeoutMs, signal } = options;
      if (this.#isClosed) return reject(this.#errors.closed(false));
      if (signal?.aborted) return reject(signal.reason as Error);
      const pending = new PendingSend(message, receipt, timeoutMs, resolve, reject);
      pending.hasOwnId = options.hasOwnId;
      pending.dueAt = options.dueAt;
      const { maxBuffered } = this.#settings;
      if (!this.#sends.hasRoom(pending, maxBuffered)) return reject(this.#errors.full(maxBuffered));
      this.#sends.add(pending);
      if (signal) pending.abortWith(signal, () => this.#giveUp(pending, signal.reason));
      if (this.#state.status === 'open') this.#pump(this.#state);
      if (this.#sends.next) this.flush();
    });
  }

  /** Publishes what can be published now; opens the channel when there is none and something waits. */
  flush(): void {
    const state = this.#state;
    if (state.status === 'idle' && this.#sends.next) void this.#open(0);
    if (state.status !== 'open') return;
    const before = state.window.size;
    this.#pump(state);
    // Who had to wait for this, or waits for room, is not to wait for others too.
    if (this.#isClosed || this.#sends.next || state.window.size > before) state.channel.flush?.();
  }

  /** Takes no more, waits until everything is settled, and closes the channel. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.flush();
    await this.#sends.drained();
    await this.#closeChannel();
  }

  /** Takes no more and settles what is left with a `ClosedError`. */
  abort(): void {
    this.#isClosed = true;
    this.#aborting.abort();
    if (this.#state.status === 'open') this.#takeBack(this.#state.window);
    this.#sends.failWaiting((pending) => this.#errors.closed(pending.handedOver));
    void this.#closeChannel();
  }

  #canPublish(pending: PendingSend, { channel, window }: OpenState): boolean {
    if (!channel.isOpen || this.#settings.connection.current?.blocked !== undefined) return false;
    if (window.size >= this.#settings.maxInFlight) return false;
    if (window.size > 0 && window.sizeBytes + pending.sizeBytes > MAX_IN_FLIGHT_BYTES) return false;
    return !(pending.hasOwnId && this.#ownIds.has(pending.receipt.messageId));
  }

  #pump(state: OpenState): void {
    for (let pending = this.#sends.next; pending; pending = this.#sends.next) {
      if (!this.#canPublish(pending, state)) return;
      const message = this.#declarations.outgoing(pending);
      if (!message) return;
      try {
        state.channel.publish(message);
      } catch (error) {
        if (!state.channel.isOpen) return;
        const reason = `${this.#settings.target}: the message can not be encoded: ${(error as Error).message}`;
        this.#sends.fail(pending, new ConfigurationError('headers', reason, { cause: error }));
        continue;
      }
      this.#sends.published(pending);
      pending.publishedAfter = this.#confirms;
      if (pending.hasOwnId) this.#ownIds.add(pending.receipt.messageId);
      state.window.push(pending);
    }
  }

  async #open(delayMs: number): Promise<void> {
    this.#state = { status: 'opening' };
    const { clock, connection, openChannel } = this.#settings;
    let link: Link | undefined;
    try {
      if (delayMs > 0) await sleep(clock, delayMs, this.#aborting.signal);
      link = await connection.link();
      await this.#declarations.declare(link);
      const window = new ConfirmWindow();
      const options: ChannelOptions = {
        confirms: true,
        onClosed: (error) => this.#channelClosed(window, error),
        onConfirm: (tag, multiple, accepted) => this.#confirmed(window, tag, multiple, accepted),
        onReturn: (returned) => this.#returned(window, returned),
      };
      const channel = await (openChannel ? openChannel(link, options) : link.openChannel(options));
      this.#state = { status: 'open', channel, window, openedAt: clock.now() };
      this.#errors.obstacle = undefined;
      if (!channel.isOpen) this.#channelClosed(window, new TransportError('the channel was closed at once'));
      else if (this.#isClosed && this.#sends.count === 0) await this.#closeChannel();
      else this.flush();
    } catch (error) {
      this.#openFailed(error, link);
    }
  }

  #openFailed(error: unknown, link: Link | undefined): void {
    this.#state = { status: 'idle' };
    if (error instanceof TopologyError) {
      this.#sends.failWaiting(() => error);
    } else if (error instanceof ConnectionError || error instanceof ClosedError) {
      this.#sends.failWaiting((pending) => this.#errors.closed(pending.handedOver, error));
    } else if (this.#sends.next) {
      this.#errors.obstacle = error as Error;
      const isLost = link?.isOpen === false;
      void this.#open(isLost ? 0 : Math.max(1, this.#backoff.afterFailure({ reachedServer: true })));
    }
  }

  #channelClosed(window: ConfirmWindow, error: TransportError): void {
    const state = this.#state;
    if (state.status !== 'open' || state.window !== window) return;
    this.#state = { status: 'idle' };
    this.#refuse(this.#takeBack(window), error);
    // With the whole connection gone there is its own delay to wait for.
    const delayMs = this.#settings.connection.current
      ? this.#backoff.afterLoss(this.#settings.clock.now() - state.openedAt)
      : 0;
    if (this.#sends.next) void this.#open(delayMs);
  }

  #takeBack(window: ConfirmWindow): readonly PendingSend[] {
    this.#ownIds.clear();
    return this.#sends.takeBack(window);
  }

  /** Fails those that the server's reason for closing the channel is about: sent again, they would close it again. */
  #refuse(unconfirmed: readonly PendingSend[], error: TransportError): void {
    // Until the exchange is declared again, or can not be, the sends are unknown.
    if (error.replyCode === 404 && this.#declarations.mayComeBack()) return;
    for (const pending of unconfirmed) {
      const reason = this.#errors.refusal(pending, error);
      if (reason) this.#sends.fail(pending, reason);
    }
  }

  #confirmed(window: ConfirmWindow, tag: number, multiple: boolean, accepted: boolean): void {
    this.#declarations.wereThere(accepted);
    if (accepted) this.#stallTimeout.restore();
    const homeless: PendingSend[] = [];
    window.take(tag, multiple, (pending) => {
      this.#confirms++;
      if (pending.hasOwnId) this.#ownIds.delete(pending.receipt.messageId);
      if (pending.phase === 'settled') return;
      if (accepted && pending.returned === undefined) this.#sends.succeed(pending);
      else if (this.#declarations.mayHelp(pending, accepted)) homeless.push(pending);
      else if (!accepted) this.#sends.fail(pending, this.#errors.rejected());
      else this.#sends.fail(pending, this.#errors.unroutable(pending));
    });
    if (homeless.length > 0) this.#sendAgain(homeless, accepted);
    this.flush();
  }

  #returned(window: ConfirmWindow, { messageId, replyText }: Returned): void {
    const pending = window.find((it) => it.returned === undefined && it.receipt.messageId === messageId);
    if (pending) pending.returned = replyText;
  }

  /** What they need is missing, or can not take them yet: they go out again when that was seen to. */
  #sendAgain(homeless: readonly PendingSend[], accepted: boolean): void {
    this.#sends.waitAgain(homeless);
    if (accepted) this.#declarations.vanished();
    // A channel that was opened while a queue had no leader can go on refusing when it has one.
    else if (this.#state.status === 'open') this.#replaceChannel(this.#state);
  }

  #expire(pending: PendingSend): void {
    const { phase, publishedAfter } = pending;
    this.#giveUp(pending, this.#errors.timeout(pending));
    // Not one confirm since it was published: this channel may never give another one. A fresh one may.
    if (phase === 'in-flight' && this.#confirms === publishedAfter && this.#state.status === 'open')
      this.#replaceChannel(this.#state);
  }

  #replaceChannel({ channel, window, openedAt }: OpenState): void {
    if (this.#settings.connection.current?.blocked !== undefined) return;
    if (!this.#stallTimeout.isOver(this.#settings.clock.now() - openedAt)) return;
    this.#state = { status: 'idle' };
    this.#takeBack(window);
    void channel.close();
    this.flush();
  }

  #giveUp(pending: PendingSend, error: unknown): void {
    this.#sends.fail(pending, error);
    this.flush();
  }

  async #closeChannel(): Promise<void> {
    if (this.#state.status !== 'open') return;
    const { channel } = this.#state;
    this.#state = { status: 'idle' };
    await channel.close();
  }
}
