import { ClosedError, ConfigurationError, ConnectionError, TopologyError } from '../../errors.js';
import { ConfirmWindow } from '../../transport/confirm-window.js';
import { Backoff, channelBackoff } from '../../transport/connection/backoff.js';
import { openDeclared } from '../../transport/declarations/declaring-channel.js';
import { classify } from '../../transport/failures.js';
import {
  type ChannelOptions,
  type Link,
  type OutgoingMessage,
  type Returned,
  TransportError,
} from '../../transport/port.js';
import { sleep } from '../../util/clock.js';
import type { Slot, SlotHolder } from './channel-slots.js';
import { DeclareOnDemand } from './declare-on-demand.js';
import { DelayedPublish } from './delayed-publish.js';
import { type AddOptions, PendingSend, type Receipt } from './pending-send.js';
import { type OwnId, PendingSends } from './pending-sends.js';
import { type Preparing, PublishPreparation } from './publish-preparation.js';
import type { PublisherSettings } from './publisher-settings.js';
import type { PublishingChannel } from './publishing-channel.js';
import { RefusalPause } from './refusal-pause.js';
import { SendErrors } from './send-errors.js';
import { StallTimeout } from './stall-timeout.js';

/** The most bytes that may be published but not confirmed: amqplib buffers without a bound when the socket stalls. */
const MAX_IN_FLIGHT_BYTES = 16 * 1024 * 1024;

type PublisherState = { readonly status: 'idle' } | { readonly status: 'opening' } | OpenState;

interface OpenState {
  readonly status: 'open';
  readonly channel: PublishingChannel;
  readonly window: ConfirmWindow<PendingSend>;
  readonly openedAt: number;
  readonly slot: Slot | undefined;
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
export class Publisher implements SlotHolder {
  readonly #settings: PublisherSettings;
  readonly #sends: PendingSends;
  readonly #backoff: Backoff;
  readonly #errors: SendErrors;
  readonly #demand: DeclareOnDemand;
  readonly #delays: DelayedPublish;
  readonly #preparation: PublishPreparation;
  readonly #refusals: RefusalPause;
  /** Aborted by `abort`, which stops all waiting. */
  readonly #aborting = new AbortController();
  /** Caller-chosen ids that are in flight: two messages with the same id could not be told apart when one is returned. */
  readonly #ownIds = new Map<string, OwnId>();
  #state: PublisherState = { status: 'idle' };
  #isClosed = false;
  /** How many confirms have arrived, which shows whether the server responds at all. */
  #confirms = 0;
  readonly #stallTimeout = new StallTimeout();
  /** Since when nothing is pending. */
  #idleSince: number | undefined;

  constructor(settings: PublisherSettings) {
    this.#settings = settings;
    this.#sends = new PendingSends(
      settings.clock,
      (pending) => this.#expire(pending),
      () => this.#idle(),
    );
    this.#backoff = new Backoff(channelBackoff, settings.clock.random);
    this.#errors = new SendErrors(settings.target, settings.connection);
    const { connection, clock, contract, onRestored } = settings;
    const { signal } = this.#aborting;
    const demand = new DeclareOnDemand({ contract, onRestored });
    const delays = new DelayedPublish(clock, demand);
    this.#demand = demand;
    this.#delays = delays;
    const onRefused = (error: Error, matches: (pending: PendingSend) => boolean) =>
      this.#sends.failWaiting(() => error, matches);
    const onOver = (waitedFor: Preparing | undefined) => {
      if (waitedFor) this.#sends.release(waitedFor);
      this.flush();
    };
    this.#preparation = new PublishPreparation({
      connection,
      clock,
      demand,
      delays,
      signal,
      onRefused,
      onOver,
    });
    this.#refusals = new RefusalPause({
      contract,
      connection,
      clock,
      signal,
      onOver: (queue) => this.#releaseHeld(queue),
      onFull: (queue) => this.#rejectHeld(queue),
    });
  }

  /** Sends that are not settled. */
  get pending(): number {
    return this.#sends.count;
  }

  /** Messages that are published but not confirmed. */
  get inFlight(): number {
    return this.#state.status === 'open' ? this.#state.window.size : 0;
  }

  get idleSince(): number | undefined {
    return this.#idleSince;
  }

  /**
   * Adds a message. The promise resolves with the receipt when the server has confirmed the message and not returned it, and
   * settles within `timeoutMs` whatever happens. Messages are published in the order in which they were added, even if one of
   * them has to wait longer than the next.
   */
  add(message: OutgoingMessage, receipt: Receipt, options: AddOptions): Promise<Receipt> {
    return new Promise<Receipt>((resolve, reject) => {
      const { timeoutMs, signal, pendingContent } = options;
      const refuse = (reason: unknown) => {
        options.owner?.settled();
        reject(reason);
      };
      if (this.#isClosed) return refuse(this.#errors.closed(false));
      if (signal?.aborted) return refuse(signal.reason);
      const pending = new PendingSend(message, receipt, timeoutMs, resolve, reject, pendingContent);
      pending.hasOwnId = options.hasOwnId;
      pending.dueAt = options.dueAt;
      pending.owner = options.owner;
      const { maxBuffered } = this.#settings;
      if (!this.#sends.hasRoom(pending, maxBuffered)) return refuse(this.#errors.full(maxBuffered));
      this.#sends.add(pending);
      if (this.#idleSince !== undefined || this.#sends.count === 1) this.#active();
      if (signal) pending.abortWith(signal, () => this.#giveUp(pending, signal.reason));
      if (pendingContent) void this.#complete(pending, pendingContent.content);
      if (this.#state.status === 'open') this.#pump(this.#state);
      if (this.#sends.next) this.flush();
    });
  }

  /** Closes the channel, unless something is pending. The next send opens another one. */
  async giveBack(): Promise<void> {
    if (this.#sends.count === 0) await this.#closeChannel();
  }

  /** Publishes what can be published now; opens the channel if there is none and something waits. */
  flush(): void {
    const state = this.#state;
    if (state.status === 'idle' && this.#hasWork) void this.#open(0);
    if (state.status !== 'open') return;
    const before = state.window.size;
    this.#pump(state);
    // Sends that waited for this flush, or for room, must not also wait for a batch.
    if (this.#isClosed || this.#sends.next || state.window.size > before) state.channel.flush?.();
  }

  /** Accepts no more messages, waits until everything is settled, and closes the channel. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.flush();
    await this.#sends.drained();
    await this.#closeChannel();
  }

  /** Accepts no more messages and settles the remaining ones with a `ClosedError`. */
  abort(): void {
    this.#isClosed = true;
    this.#aborting.abort();
    if (this.#state.status === 'open') this.#takeBack(this.#state.window);
    this.#sends.failWaiting((pending) => this.#errors.closed(pending.handedOver));
    void this.#closeChannel();
  }

  /** Adds the content that the message has waited for. */
  async #complete(pending: PendingSend, content: Promise<Buffer>): Promise<void> {
    try {
      pending.message = { ...pending.message, content: await content };
      pending.pendingContent = undefined;
      this.flush();
    } catch (error) {
      if (pending.phase !== 'settled') this.#giveUp(pending, error);
    }
  }

  #active(): void {
    this.#idleSince = undefined;
    this.#settings.onActive?.(true);
  }

  #idle(): void {
    this.#idleSince = this.#settings.clock.now();
    if (this.#state.status === 'open') this.#settings.slots?.idle(this);
    this.#restIfDone();
  }

  #restIfDone(): void {
    if (this.#state.status === 'idle' && this.#sends.count === 0) this.#settings.onActive?.(false);
  }

  /** True when something can be published as soon as there is a channel. */
  get #hasWork(): boolean {
    const { next } = this.#sends;
    return next !== undefined && next.pendingContent === undefined;
  }

  #canPublish(pending: PendingSend, { channel, window }: OpenState): boolean {
    if (pending.pendingContent || this.#preparation.isBusy) return false;
    if (!channel.isOpen || this.#settings.connection.current?.blocked !== undefined) return false;
    if (window.size >= this.#settings.maxInFlight) return false;
    return window.size === 0 || window.sizeBytes + pending.sizeBytes <= MAX_IN_FLIGHT_BYTES;
  }

  #pump(state: OpenState): void {
    for (let pending = this.#sends.next; pending; pending = this.#sends.next) {
      if (!this.#canPublish(pending, state)) return;
      const sameId = pending.hasOwnId && this.#ownIds.get(pending.receipt.messageId);
      if (sameId) {
        // Those for one target keep their order.
        if (!this.#settings.hasManyTargets) return;
        this.#sends.hold(sameId, [pending]);
        continue;
      }
      const preparation = this.#preparation.prepare(pending);
      if (preparation === 'busy') return;
      if (preparation !== 'ready') {
        this.#sends.hold(preparation, [pending]);
        continue;
      }
      const queue = this.#refusals.heldFor(pending);
      if (queue !== undefined) {
        this.#sends.hold(queue, [pending]);
        continue;
      }
      try {
        state.channel.publish(this.#delays.wrap(pending));
      } catch (error) {
        if (!state.channel.isOpen) return;
        const reason = `${this.#settings.target}: the message cannot be encoded: ${(error as Error).message}`;
        this.#sends.fail(pending, new ConfigurationError('headers', reason, { cause: error }));
        continue;
      }
      this.#sends.published(pending);
      pending.publishedAfter = this.#confirms;
      const { messageId } = pending.receipt;
      if (pending.hasOwnId) this.#ownIds.set(messageId, { messageId });
      state.window.push(pending);
    }
  }

  async #open(delayMs: number): Promise<void> {
    this.#state = { status: 'opening' };
    const { clock, connection, slots } = this.#settings;
    let link: Link | undefined;
    let slot: Slot | undefined;
    try {
      if (delayMs > 0) await sleep(clock, delayMs, this.#aborting.signal);
      link = await connection.link();
      slot = await slots?.acquire(this, link.channelMax);
      const { channel, window } = await this.#openChannel(link);
      this.#state = { status: 'open', channel, window, openedAt: clock.now(), slot };
      this.#errors.obstacle = undefined;
      this.#refusals.reset();
      if (!channel.isOpen) this.#channelClosed(window, new TransportError('the channel was closed at once'));
      else if (this.#isClosed && this.#sends.count === 0) await this.#closeChannel();
      else if (this.#sends.count === 0) slots?.idle(this);
      else this.flush();
    } catch (error) {
      slot?.release();
      if (classify(error) === 'no-channel') slots?.exhausted();
      this.#openFailed(error, link);
    }
  }

  async #openChannel(
    link: Link,
  ): Promise<{ readonly channel: PublishingChannel; readonly window: ConfirmWindow<PendingSend> }> {
    const { openChannel } = this.#settings;
    let window = new ConfirmWindow<PendingSend>();
    const nextOptions = (): ChannelOptions => {
      const its = new ConfirmWindow<PendingSend>();
      window = its;
      return {
        confirms: true,
        onClosed: (error) => this.#channelClosed(its, error),
        onConfirm: (tag, multiple, accepted) => this.#confirmed(its, tag, multiple, accepted),
        onReturn: (returned) => this.#returned(its, returned),
      };
    };
    if (openChannel) await this.#demand.declare(link);
    const channel = openChannel
      ? await openChannel(link, nextOptions())
      : await openDeclared(
          () => link.openChannel(nextOptions()),
          (declaring) => this.#demand.declare(link, declaring),
        );
    return { channel, window };
  }

  #openFailed(error: unknown, link: Link | undefined): void {
    this.#state = { status: 'idle' };
    if (error instanceof TopologyError) {
      this.#sends.failWaiting(() => error);
    } else if (error instanceof ConnectionError || error instanceof ClosedError) {
      this.#sends.failWaiting((pending) => this.#errors.closed(pending.handedOver, error));
    } else if (this.#hasWork) {
      this.#errors.obstacle = error as Error;
      const isLost = link?.isOpen === false;
      void this.#open(isLost ? 0 : Math.max(1, this.#backoff.afterFailure({ reachedServer: true })));
    }
    this.#restIfDone();
  }

  #channelClosed(window: ConfirmWindow<PendingSend>, error: TransportError): void {
    const state = this.#state;
    if (state.status !== 'open' || state.window !== window) return;
    this.#state = { status: 'idle' };
    state.slot?.release();
    this.#refuse(this.#takeBack(window), error);
    // If the whole connection is lost, it has its own delay.
    const delayMs = this.#settings.connection.current
      ? this.#backoff.afterLoss(this.#settings.clock.now() - state.openedAt)
      : 0;
    if (this.#hasWork) void this.#open(delayMs);
    else this.#restIfDone();
  }

  #takeBack(window: ConfirmWindow<PendingSend>): readonly PendingSend[] {
    for (const messageId of [...this.#ownIds.keys()]) this.#releaseId(messageId);
    return this.#sends.takeBack(window);
  }

  /** No message with this id is in flight any more. */
  #releaseId(messageId: string): void {
    const ownId = this.#ownIds.get(messageId);
    this.#ownIds.delete(messageId);
    if (ownId) this.#sends.release(ownId);
  }

  /** Fails the messages that made the server close the channel: sent again, they would close it again. */
  #refuse(unconfirmed: readonly PendingSend[], error: TransportError): void {
    // Until the exchange is declared again, or found impossible to declare, the fate of the sends is unknown.
    if (classify(error) === 'missing' && this.#demand.shouldRedeclare(error)) return;
    for (const pending of unconfirmed) {
      const reason = this.#errors.refusal(pending, error);
      if (reason) this.#sends.fail(pending, reason);
    }
  }

  #confirmed(window: ConfirmWindow<PendingSend>, tag: number, multiple: boolean, accepted: boolean): void {
    this.#demand.recordConfirm();
    if (accepted) this.#stallTimeout.restore();
    const unroutable: PendingSend[] = [];
    window.take(tag, multiple, (pending) => {
      this.#confirms++;
      if (pending.hasOwnId) this.#releaseId(pending.receipt.messageId);
      if (accepted && pending.returned === undefined) this.#refusals.accepted(pending);
      if (pending.phase === 'settled') return;
      if (!accepted) this.#refused(pending);
      else if (pending.returned === undefined) this.#sends.succeed(pending);
      else if (this.#demand.mayBecomeRoutable(pending)) unroutable.push(pending);
      else this.#sends.fail(pending, this.#errors.unroutable(pending));
    });
    if (unroutable.length > 0) {
      // What the messages need is missing: they are published again once it is declared.
      this.#sends.waitAgain(unroutable);
      this.#demand.invalidate({ isMissing: unroutable.some(({ delay }) => !delay) });
      this.#refusals.reset();
    }
    this.flush();
  }

  #refused(pending: PendingSend): void {
    const queue = this.#refusals.refused(pending);
    if (queue === undefined) this.#sends.fail(pending, this.#errors.rejected());
    else this.#sends.hold(queue, [pending]);
  }

  #releaseHeld(queue: string): void {
    const held = this.#sends.release(queue);
    // A channel that was opened while a queue had no leader can keep refusing after the queue has one.
    if (held.length > 0 && this.#state.status === 'open') this.#replaceChannel(this.#state);
    this.flush();
  }

  #rejectHeld(queue: string): void {
    for (const pending of this.#sends.release(queue))
      if (pending.wasRefused) this.#sends.fail(pending, this.#errors.rejected());
    this.flush();
  }

  #returned(window: ConfirmWindow<PendingSend>, { messageId, replyText }: Returned): void {
    const pending = window.find((it) => it.returned === undefined && it.receipt.messageId === messageId);
    if (pending) pending.returned = replyText;
  }

  #expire(pending: PendingSend): void {
    const { phase, publishedAfter } = pending;
    this.#giveUp(pending, this.#errors.timeout(pending));
    // No confirm has arrived since the message was published, so this channel may never give another one. A new one may.
    if (phase === 'in-flight' && this.#confirms === publishedAfter && this.#state.status === 'open')
      this.#replaceChannel(this.#state);
  }

  #replaceChannel({ channel, window, openedAt, slot }: OpenState): void {
    if (this.#settings.connection.current?.blocked !== undefined) return;
    if (!this.#stallTimeout.isOver(this.#settings.clock.now() - openedAt)) return;
    this.#state = { status: 'idle' };
    this.#takeBack(window);
    void channel.close();
    slot?.release();
    this.flush();
  }

  #giveUp(pending: PendingSend, error: unknown): void {
    this.#sends.fail(pending, error);
    this.flush();
  }

  async #closeChannel(): Promise<void> {
    if (this.#state.status !== 'open') return;
    const { channel, slot } = this.#state;
    this.#state = { status: 'idle' };
    await channel.close();
    slot?.release();
    this.#restIfDone();
  }
}
