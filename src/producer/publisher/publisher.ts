import { ConfigurationError } from '../../errors.js';
import { classify } from '../../transport/failures.js';
import type { OutgoingMessage, Returned, TransportError } from '../../transport/port.js';
import type { SlotHolder } from './channel-slots.js';
import { DeclareOnDemand } from './declare-on-demand.js';
import { DelayedPublish } from './delayed-publish.js';
import { IdsInFlight } from './ids-in-flight.js';
import { type AddOptions, PendingSend, type Receipt } from './pending-send.js';
import { PendingSends } from './pending-sends.js';
import { type Preparing, PublishPreparation } from './publish-preparation.js';
import { type OpenChannel, PublisherChannel, type PublishWindow } from './publisher-channel.js';
import type { PublisherSettings } from './publisher-settings.js';
import { RefusalPause } from './refusal-pause.js';
import { SendErrors } from './send-errors.js';

/** The most bytes that may be published but not confirmed: amqplib buffers without a bound when the socket stalls. */
const MAX_IN_FLIGHT_BYTES = 16 * 1024 * 1024;

/**
 * Sends on their way to the server: a bounded list of those that wait, a bounded window of those that are published, a deadline
 * for each. When its channel is lost, the unconfirmed sends go back to the head of the list and are published again with the same id.
 */
export class Publisher implements SlotHolder {
  readonly #settings: PublisherSettings;
  readonly #sends: PendingSends;
  readonly #errors: SendErrors;
  readonly #demand: DeclareOnDemand;
  readonly #delays: DelayedPublish;
  readonly #preparation: PublishPreparation;
  readonly #refusals: RefusalPause;
  /** Aborted by `abort`, which stops all waiting. */
  readonly #aborting = new AbortController();
  readonly #ownIds: IdsInFlight;
  readonly #channel: PublisherChannel;
  #isClosed = false;
  /** How many confirms have arrived, which shows whether the server responds at all. */
  #confirms = 0;
  /** Since when nothing is pending. */
  #idleSince: number | undefined;

  constructor(settings: PublisherSettings) {
    this.#settings = settings;
    this.#sends = new PendingSends(
      settings.clock,
      (pending) => this.#expire(pending),
      () => this.#idle(),
    );
    this.#ownIds = new IdsInFlight((ownId) => this.#sends.release(ownId));
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
    const { slots, openChannel } = settings;
    this.#channel = new PublisherChannel({
      connection,
      clock,
      slots,
      openChannel,
      demand,
      errors: this.#errors,
      holder: this,
      signal,
      isNeeded: () => this.#hasWork,
      onOpened: () => this.#opened(),
      onLost: (window, error) => this.#lost(window, error),
      onRefused: (error) => this.#sends.failWaiting((pending) => this.#errors.noChannel(pending, error)),
      onIdle: () => this.#restIfDone(),
      onConfirm: (window, tag, multiple, accepted) => this.#confirmed(window, tag, multiple, accepted),
      onReturn: (window, returned) => this.#returned(window, returned),
    });
  }

  /** Sends that are not settled. */
  get pending(): number {
    return this.#sends.count;
  }

  /** Messages that are published but not confirmed. */
  get inFlight(): number {
    return this.#channel.current?.window.size ?? 0;
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
      this.#add(new PendingSend(message, receipt, options, resolve, reject), options.signal);
    });
  }

  #add(pending: PendingSend, signal: AbortSignal | undefined): void {
    const obstacle = this.#obstacleTo(pending, signal);
    if (obstacle !== undefined) {
      pending.refuse(obstacle);
      return;
    }
    this.#sends.add(pending);
    if (this.#idleSince !== undefined || this.#sends.count === 1) this.#active();
    if (signal) pending.abortWith(signal, () => this.#giveUp(pending, signal.reason));
    if (pending.pendingContent) void this.#complete(pending, pending.pendingContent.content);
    const open = this.#channel.current;
    if (open) this.#pump(open);
    if (this.#sends.next) this.flush();
  }

  /** The error of a send that may not be added; undefined if it may. */
  #obstacleTo(pending: PendingSend, signal: AbortSignal | undefined): unknown {
    const { maxBuffered } = this.#settings;
    if (this.#isClosed) return this.#errors.closed(false);
    if (signal?.aborted) return signal.reason;
    return this.#sends.hasRoom(pending, maxBuffered) ? undefined : this.#errors.full(maxBuffered);
  }

  /** Closes the channel, unless something is pending. The next send opens another one. */
  async giveBack(): Promise<void> {
    if (this.#sends.count === 0) await this.#channel.close();
  }

  /** Publishes what can be published now; opens the channel if there is none and something waits. */
  flush(): void {
    const open = this.#channel.current;
    if (!open) {
      if (this.#hasWork) this.#channel.open();
      return;
    }
    const before = open.window.size;
    this.#pump(open);
    // Sends that waited for this flush, or for room, must not also wait for a batch.
    if (this.#isClosed || this.#sends.next || open.window.size > before) open.channel.flush?.();
  }

  /** Accepts no more messages, waits until everything is settled, and closes the channel. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.flush();
    await this.#sends.drained();
    await this.#channel.close();
  }

  /** Accepts no more messages and settles the remaining ones with a `ClosedError`. */
  abort(): void {
    this.#isClosed = true;
    this.#aborting.abort();
    const open = this.#channel.current;
    if (open) this.#takeBack(open.window);
    this.#sends.failWaiting((pending) => this.#errors.closed(pending.handedOver));
    void this.#channel.close();
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
    if (this.#channel.current) this.#settings.slots?.idle(this);
    this.#restIfDone();
  }

  #restIfDone(): void {
    if (this.#channel.isIdle && this.#sends.count === 0) this.#settings.onActive?.(false);
  }

  /** True when something can be published as soon as there is a channel. */
  get #hasWork(): boolean {
    const { next } = this.#sends;
    return next !== undefined && next.pendingContent === undefined;
  }

  #canPublish(pending: PendingSend, { channel, window }: OpenChannel): boolean {
    if (pending.pendingContent || this.#preparation.isBusy) return false;
    if (!channel.isOpen || this.#settings.connection.current?.blocked !== undefined) return false;
    if (window.size >= this.#settings.maxInFlight) return false;
    return window.size === 0 || window.sizeBytes + pending.sizeBytes <= MAX_IN_FLIGHT_BYTES;
  }

  #pump(open: OpenChannel): void {
    for (let pending = this.#sends.next; pending; pending = this.#sends.next) {
      if (!this.#canPublish(pending, open)) return;
      const sameId = this.#ownIds.blocking(pending);
      if (sameId) {
        // Messages for one target keep their order: all of them wait.
        if (!this.#settings.hasManyTargets) return;
        this.#sends.setAside(sameId, [pending]);
        continue;
      }
      const preparation = this.#preparation.prepare(pending);
      if (preparation === 'busy') return;
      if (preparation !== 'ready') {
        this.#sends.setAside(preparation, [pending]);
        continue;
      }
      const queue = this.#refusals.heldFor(pending);
      if (queue !== undefined) {
        this.#sends.setAside(queue, [pending]);
        continue;
      }
      try {
        open.channel.publish(this.#delays.wrap(pending));
      } catch (error) {
        if (!open.channel.isOpen) return;
        const reason = `${this.#settings.target}: the message cannot be encoded: ${(error as Error).message}`;
        this.#sends.fail(pending, new ConfigurationError('headers', reason, { cause: error }));
        continue;
      }
      this.#sends.published(pending);
      pending.publishedAfter = this.#confirms;
      this.#ownIds.published(pending);
      open.window.push(pending);
    }
  }

  #opened(): void {
    this.#refusals.reset();
    if (this.#sends.count > 0) this.flush();
    else if (this.#isClosed) void this.#channel.close();
    else this.#settings.slots?.idle(this);
  }

  #lost(window: PublishWindow, error: TransportError | undefined): void {
    const unconfirmed = this.#takeBack(window);
    if (error) this.#refuse(unconfirmed, error);
  }

  #takeBack(window: PublishWindow): readonly PendingSend[] {
    this.#ownIds.clear();
    return this.#sends.takeBack(window);
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

  #confirmed(window: PublishWindow, tag: number, multiple: boolean, accepted: boolean): void {
    this.#demand.recordConfirm();
    const unroutable: PendingSend[] = [];
    window.take(tag, multiple, (pending) => {
      this.#confirms++;
      this.#ownIds.confirmed(pending);
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
    else this.#sends.setAside(queue, [pending]);
  }

  #releaseHeld(queue: string): void {
    const held = this.#sends.release(queue);
    // A channel that was opened while a queue had no leader can keep refusing after the queue has one.
    if (held.length > 0) this.#channel.replace();
    this.flush();
  }

  #rejectHeld(queue: string): void {
    for (const pending of this.#sends.release(queue))
      if (pending.wasRefused) this.#sends.fail(pending, this.#errors.rejected());
    this.flush();
  }

  #returned(window: PublishWindow, { messageId, replyText }: Returned): void {
    const pending = window.find((it) => it.returned === undefined && it.receipt.messageId === messageId);
    if (pending) pending.returned = replyText;
  }

  #expire(pending: PendingSend): void {
    const { phase, publishedAfter } = pending;
    this.#giveUp(pending, this.#errors.timeout(pending));
    // No confirm has arrived since the message was published, so this channel may never give another one. A new one may.
    if (phase === 'in-flight' && this.#confirms === publishedAfter) this.#channel.replace();
  }

  #giveUp(pending: PendingSend, error: unknown): void {
    this.#sends.fail(pending, error);
    this.flush();
  }
}
