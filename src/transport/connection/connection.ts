import pRetry from 'p-retry';
import { TraceOrigin } from '../../diagnostics/origin.js';
import { outsideOfContexts } from '../../diagnostics/root-context.js';
import { ClosedError } from '../../errors.js';
import { sleep } from '../../util/clock.js';
import { deferred } from '../../util/promises.js';
import type { Credentials, Link, Role } from '../port.js';
import { Backoff, type BackoffPolicy } from './backoff.js';
import { type ConnectionEvent, type ConnectionState, transition } from './connection-state.js';
import { CredentialRenewal } from './credential-renewal.js';
import type { AllAddressesFailedError } from './dial-errors.js';
import { Dialler, type DiallerSettings } from './dialler.js';

/** No further attempt is made when less than this is left of the startup time. */
const LAST_ATTEMPT_MS = 100;

export interface ConnectionSettings extends DiallerSettings {
  readonly backoff: BackoffPolicy;
  readonly startupTimeoutMs: number;
  /** True once any connection of the broker has been open: from then on the broker never gives up. */
  readonly isEstablished: () => boolean;
  readonly onChange: (state: ConnectionState, event: ConnectionEvent) => void;
}

/**
 * One of a broker's connections: dials on first use, and again after each loss, indefinitely. Everything that uses
 * it asks for the current link, sets itself up on it, and comes back when the link is gone.
 */
export class Connection {
  readonly role: Role;
  /** The origin that traces report. */
  readonly origin: TraceOrigin;
  readonly #settings: ConnectionSettings;
  readonly #backoff: Backoff;
  readonly #closing = new AbortController();
  #state: ConnectionState = { status: 'idle' };
  #link: Link | undefined;
  #next = deferred<Link>();
  #running: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(settings: ConnectionSettings) {
    this.role = settings.role;
    this.#settings = settings;
    this.origin = new TraceOrigin(
      settings.broker,
      () => this.current?.address ?? settings.transport.addresses[0],
    );
    this.#backoff = new Backoff(settings.backoff, settings.clock.random);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** The link, while the connection is open. */
  get current(): Link | undefined {
    return this.#link?.isOpen ? this.#link : undefined;
  }

  /**
   * The open link, or the next one. Rejects with a `ConnectionError` when the start fails, and with a `ClosedError` when the
   * connection is closed.
   */
  link(): Promise<Link> {
    if (this.#closing.signal.aborted) return Promise.reject(new ClosedError('The broker is closed'));
    if (this.current) return Promise.resolve(this.current);
    const { promise } = this.#next;
    if (!this.#running) {
      // The run outlives the context of its first caller.
      const run = outsideOfContexts(() => this.#run()).finally(() => {
        if (this.#running === run) this.#running = undefined;
      });
      this.#running = run;
    }
    return promise;
  }

  /** Closes the link with a handshake, and dials no more. Bounded in time; never rejects. */
  close(): Promise<void> {
    this.#closed ??= this.#shutDown();
    return this.#closed;
  }

  /** Drops the link at once. Without a `close` before it, the next link is dialled. */
  destroy(reason: Error): void {
    this.#link?.destroy(reason);
  }

  async #shutDown(): Promise<void> {
    this.#apply({ type: 'close' });
    this.#closing.abort(new ClosedError('The broker is closed'));
    this.#next.reject(new ClosedError('The broker is closed'));
    await this.#link?.close();
    await this.#running;
    this.#apply({ type: 'closed' });
  }

  async #run(): Promise<void> {
    const { clock, startupTimeoutMs } = this.#settings;
    const startedAt = clock.now();
    const giveUpAt = startedAt + startupTimeoutMs;
    const { signal } = this.#closing;
    const dialler = new Dialler(this.#settings, signal);
    while (!signal.aborted) {
      try {
        await pRetry((round) => this.#attempt(dialler, round, giveUpAt), {
          retries: Number.POSITIVE_INFINITY,
          // The delay is our own: p-retry applies its cap after the jitter, so that all clients would retry in step.
          minTimeout: 0,
          onFailedAttempt: ({ error }) => this.#waitAfter(error as AllAddressesFailedError, giveUpAt),
        });
      } catch (error) {
        if (!signal.aborted) this.#giveUp(error as AllAddressesFailedError, clock.now() - startedAt);
        return;
      }
      const link = this.#link as Link;
      const openedAt = clock.now();
      const renewal = this.#renewal(link, dialler.credentialsUsed);
      const error = await link.closed;
      renewal?.stop();
      if (signal.aborted) return;
      const delayMs = this.#backoff.afterLoss(clock.now() - openedAt);
      this.#apply({ type: 'lost', error, delayMs });
      await sleep(clock, delayMs, signal);
    }
  }

  async #attempt(dialler: Dialler, round: number, giveUpAt: number): Promise<void> {
    this.#apply({ type: 'dial' });
    this.#opened(await dialler.round(round, () => this.#leftMs(giveUpAt)));
  }

  #renewal(link: Link, used: Credentials | undefined): CredentialRenewal | undefined {
    const { clock, credentials } = this.#settings;
    return credentials && used ? new CredentialRenewal(clock, link, credentials, used) : undefined;
  }

  #opened(link: Link): void {
    this.#link = link;
    link.onBlocked = (reason) =>
      this.#apply(reason === undefined ? { type: 'unblocked' } : { type: 'blocked', reason });
    if (this.#closing.signal.aborted) {
      link.destroy(new Error('closed while connecting'));
      return;
    }
    const { resolve } = this.#next;
    this.#next = deferred();
    this.#apply({ type: 'opened', address: link.address });
    resolve(link);
  }

  /** Waits before the next attempt, or throws when there will be none. */
  async #waitAfter(failure: AllAddressesFailedError, giveUpAt: number): Promise<void> {
    const { clock } = this.#settings;
    this.#closing.signal.throwIfAborted();
    const leftMs = this.#leftMs(giveUpAt);
    if (leftMs < LAST_ATTEMPT_MS || (this.#mayGiveUp && failure.isPermanent)) throw failure;
    // A long delay must not use up the rest of the startup time.
    const delayMs = Math.min(
      this.#backoff.afterFailure({ reachedServer: failure.reachedServer }),
      leftMs / 2,
    );
    this.#apply({ type: 'failed', error: failure.toConnectionError(), delayMs });
    await sleep(clock, delayMs, this.#closing.signal);
    this.#closing.signal.throwIfAborted();
  }

  #giveUp(failure: AllAddressesFailedError, triedMs: number): void {
    const error = failure.toConnectionError(triedMs);
    const { reject } = this.#next;
    this.#next = deferred();
    // Cleared here, because a caller that receives the error may request a link again before this run has ended.
    this.#running = undefined;
    this.#apply({ type: 'failed', error, delayMs: 0 });
    this.#apply({ type: 'gave-up', error });
    reject(error);
  }

  /** The rest of the startup time; unlimited once the broker was connected. */
  #leftMs(giveUpAt: number): number {
    return this.#mayGiveUp ? giveUpAt - this.#settings.clock.now() : Number.POSITIVE_INFINITY;
  }

  get #mayGiveUp(): boolean {
    return !this.#settings.isEstablished();
  }

  #apply(event: ConnectionEvent): void {
    const next = transition(this.#state, event);
    if (next === this.#state) return;
    this.#state = next;
    this.#settings.onChange(next, event);
  }
}
