import { openDeclared } from '../../declarations/open-declared.js';
import { ClosedError, ConnectionError, TopologyError } from '../../errors.js';
import { ConfirmWindow } from '../../transport/confirm-window.js';
import { Backoff, channelBackoff } from '../../transport/connection/backoff.js';
import { classify } from '../../transport/failures.js';
import { type ChannelOptions, type Link, type Returned, TransportError } from '../../transport/port.js';
import { sleep } from '../../util/clock.js';
import type { Slot, SlotHolder } from './channel-slots.js';
import type { DeclareOnDemand } from './declare-on-demand.js';
import type { PendingSend } from './pending-send.js';
import type { PublisherSettings } from './publisher-settings.js';
import type { PublishingChannel } from './publishing-channel.js';
import type { SendErrors } from './send-errors.js';
import { StallTimeout } from './stall-timeout.js';

/** The sends that are published on one channel and not confirmed. */
export type PublishWindow = ConfirmWindow<PendingSend>;

export interface OpenChannel {
  readonly channel: PublishingChannel;
  readonly window: PublishWindow;
}

interface OpenState extends OpenChannel {
  readonly status: 'open';
  readonly openedAt: number;
  readonly slot: Slot | undefined;
}

type ChannelState = { readonly status: 'idle' } | { readonly status: 'opening' } | OpenState;

const IDLE: ChannelState = { status: 'idle' };
const OPENING: ChannelState = { status: 'opening' };

export interface PublisherChannelSettings
  extends Pick<PublisherSettings, 'connection' | 'clock' | 'slots' | 'openChannel'> {
  readonly demand: DeclareOnDemand;
  readonly errors: SendErrors;
  /** The holder of the channel's slot. */
  readonly holder: SlotHolder;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
  /** Whether something waits to be published. */
  readonly isNeeded: () => boolean;
  readonly onOpened: () => void;
  /** The channel is gone. The error says why the server, or the connection, took it; absent if it was replaced. */
  readonly onLost: (window: PublishWindow, error?: TransportError) => void;
  /** No channel can be opened for the sends that wait. */
  readonly onRefused: (error: TopologyError | ConnectionError | ClosedError) => void;
  /** There is no channel, and none is being opened. */
  readonly onIdle: () => void;
  readonly onConfirm: (window: PublishWindow, tag: number, multiple: boolean, accepted: boolean) => void;
  readonly onReturn: (window: PublishWindow, returned: Returned) => void;
}

/**
 * The channel of a publisher: opened when something waits, and opened again when it is lost.
 *
 * | state   | open    | opened | refused for good | failed                            | closed by the server              | replace                           | close  |
 * |---------|---------|--------|------------------|-----------------------------------|-----------------------------------|-----------------------------------|--------|
 * | idle    | opening |        |                  |                                   |                                   |                                   |        |
 * | opening |         | open   | idle             | opening after a delay, if needed  |                                   |                                   |        |
 * | open    |         |        |                  |                                   | opening after a delay, if needed  | opening, if needed                | idle   |
 *
 * An empty cell changes nothing. Where no channel is needed, the state becomes idle.
 */
export class PublisherChannel {
  readonly #settings: PublisherChannelSettings;
  readonly #backoff: Backoff;
  readonly #stallTimeout = new StallTimeout();
  #state: ChannelState = IDLE;

  constructor(settings: PublisherChannelSettings) {
    this.#settings = settings;
    this.#backoff = new Backoff(channelBackoff, settings.clock.random);
  }

  /** The open channel; undefined while there is none. */
  get current(): OpenChannel | undefined {
    return this.#state.status === 'open' ? this.#state : undefined;
  }

  /** True when no channel is open or being opened. */
  get isIdle(): boolean {
    return this.#state.status === 'idle';
  }

  /** Opens a channel, unless one is open or being opened. */
  open(): void {
    if (this.isIdle) void this.#open(0);
  }

  /** Closes the channel and opens another if a send needs one; not before the stall timeout, and not during a resource alarm. */
  replace(): void {
    const { connection, clock, onLost } = this.#settings;
    const state = this.#state;
    if (state.status !== 'open' || connection.current?.blocked !== undefined) return;
    if (!this.#stallTimeout.isOver(clock.now() - state.openedAt)) return;
    this.#state = IDLE;
    onLost(state.window);
    void state.channel.close();
    state.slot?.release();
    this.#openIfNeeded(0);
  }

  /** Closes the channel, if it is open. */
  async close(): Promise<void> {
    if (this.#state.status !== 'open') return;
    const { channel, slot } = this.#state;
    this.#state = IDLE;
    await channel.close();
    slot?.release();
    this.#settings.onIdle();
  }

  async #open(delayMs: number): Promise<void> {
    this.#state = OPENING;
    const { clock, connection, slots, holder, signal, errors, onOpened } = this.#settings;
    let link: Link | undefined;
    let slot: Slot | undefined;
    try {
      if (delayMs > 0) await sleep(clock, delayMs, signal);
      link = await connection.link();
      slot = await slots?.acquire(holder, link.channelMax);
      const { channel, window } = await this.#openDeclared(link);
      this.#state = { status: 'open', channel, window, openedAt: clock.now(), slot };
      errors.obstacle = undefined;
      if (channel.isOpen) onOpened();
      else this.#closed(window, new TransportError('the channel was closed at once'));
    } catch (error) {
      slot?.release();
      if (classify(error) === 'no-channel') slots?.exhausted();
      this.#openFailed(error, link);
    }
  }

  async #openDeclared(link: Link): Promise<OpenChannel> {
    const { openChannel, demand } = this.#settings;
    let window: PublishWindow = new ConfirmWindow();
    const nextOptions = (): ChannelOptions => {
      window = new ConfirmWindow();
      return this.#optionsFor(window);
    };
    if (openChannel) await demand.declare(link);
    const channel = openChannel
      ? await openChannel(link, nextOptions())
      : await openDeclared(
          () => link.openChannel(nextOptions()),
          (declaring) => demand.declare(link, declaring),
        );
    return { channel, window };
  }

  #optionsFor(window: PublishWindow): ChannelOptions {
    const { onConfirm, onReturn } = this.#settings;
    return {
      confirms: true,
      onClosed: (error) => this.#closed(window, error),
      onConfirm: (tag, multiple, accepted) => {
        if (accepted) this.#stallTimeout.restore();
        onConfirm(window, tag, multiple, accepted);
      },
      onReturn: (returned) => onReturn(window, returned),
    };
  }

  #openFailed(error: unknown, link: Link | undefined): void {
    const { errors, isNeeded, onRefused, onIdle } = this.#settings;
    this.#state = IDLE;
    if (isForGood(error)) onRefused(error);
    else if (isNeeded()) {
      errors.obstacle = error as Error;
      const isLost = link?.isOpen === false;
      void this.#open(isLost ? 0 : Math.max(1, this.#backoff.afterFailure({ reachedServer: true })));
      return;
    }
    onIdle();
  }

  #closed(window: PublishWindow, error: TransportError): void {
    const state = this.#state;
    if (state.status !== 'open' || state.window !== window) return;
    const { connection, clock, onLost } = this.#settings;
    this.#state = IDLE;
    state.slot?.release();
    onLost(window, error);
    // If the whole connection is lost, it has its own delay.
    this.#openIfNeeded(connection.current ? this.#backoff.afterLoss(clock.now() - state.openedAt) : 0);
  }

  #openIfNeeded(delayMs: number): void {
    if (this.#settings.isNeeded()) void this.#open(delayMs);
    else this.#settings.onIdle();
  }
}

/** True for the error of a closed connection, and of a declaration that the server refuses. */
function isForGood(error: unknown): error is TopologyError | ConnectionError | ClosedError {
  return error instanceof TopologyError || error instanceof ConnectionError || error instanceof ClosedError;
}
