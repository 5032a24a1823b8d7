import pRetry from 'p-retry';
import { traces } from '../../diagnostics/channels.js';
import { traceConnect } from '../../diagnostics/connect.js';
import { TraceOrigin } from '../../diagnostics/origin.js';
import { outsideOfContexts } from '../../diagnostics/root-context.js';
import { ClosedError } from '../../errors.js';
import { type Clock, raceAbort, sleep, withDeadline } from '../../util/clock.js';
import { deferred } from '../../util/promises.js';
import { type Credentials, DialError, type Link, type Role, type Transport } from '../port.js';
import { Backoff, type BackoffPolicy } from './backoff.js';
import { type ConnectionEvent, type ConnectionState, transition } from './connection-state.js';
import { CredentialRenewal, checkCredentials } from './credential-renewal.js';
import { AllAddressesFailedError, DialDeadlineError, type DialErrors, toDialError } from './dial-errors.js';

/** The time limit for one address, from the first packet to an open connection, and as much for the credentials before it. */
const DIAL_TIMEOUT_MS = 10_000;

/** A shorter timeout while other addresses are untried, so that one hung host does not delay the rest. */
const FIRST_ROUND_TIMEOUT_MS = 3_000;

/** With less than this left of the startup time, no further attempt is made. */
const LAST_ATTEMPT_MS = 100;

/** A shorter silence says nothing about an address. */
const TELLING_MS = 1_000;

export interface ConnectionSettings {
  /** The name of the broker. */
  readonly broker?: string | undefined;
  readonly role: Role;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly backoff: BackoffPolicy;
  readonly startupTimeoutMs: number;
  readonly credentials: (() => Credentials | Promise<Credentials>) | undefined;
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
  /** The last failure of each address since the run began. */
  readonly #reasons = new Map<string, DialError>();
  #state: ConnectionState = { status: 'idle' };
  #link: Link | undefined;
  #next = deferred<Link>();
  #running: Promise<void> | undefined;
  #credentialsUsed: Credentials | undefined;
  /** Attempts to connect since the connection was lost, or first requested. */
  #dials = 0;
  #wasOpen = false;
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
    this.#reasons.clear();
    this.#dials = 0;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await pRetry((round) => this.#attempt(round, giveUpAt), {
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
      const renewal = this.#renewal(link);
      const error = await link.closed;
      renewal?.stop();
      if (signal.aborted) return;
      const delayMs = this.#backoff.afterLoss(clock.now() - openedAt);
      this.#apply({ type: 'lost', error, delayMs });
      await sleep(clock, delayMs, signal);
    }
  }

  /** Tries every address once, in random order. Rounds count from 1 after each loss. */
  async #attempt(round: number, giveUpAt: number): Promise<void> {
    const { clock, transport } = this.#settings;
    this.#apply({ type: 'dial' });
    const failures: DialErrors = [];
    const isHasty = round === 1 && transport.addresses.length > 1;
    for (const address of shuffle(transport.addresses, clock.random)) {
      if (this.#closing.signal.aborted) break;
      try {
        const limitMs = isHasty ? FIRST_ROUND_TIMEOUT_MS : DIAL_TIMEOUT_MS;
        this.#opened(await this.#traced(address, () => this.#dial(address, limitMs, giveUpAt)));
        return;
      } catch (error) {
        failures.push({ address, failure: this.#reasonOf(address, toDialError(error)) });
      }
    }
    throw new AllAddressesFailedError(failures);
  }

  #traced(address: string, dial: () => Promise<Link>): Promise<Link> {
    this.#dials++;
    if (!traces.connect.hasSubscribers) return dial();
    const { broker, role } = this.#settings;
    const attempt = { broker, address, role, attempt: this.#dials, reconnect: this.#wasOpen };
    return traceConnect(attempt, dial, (error) =>
      this.#closing.signal.aborted
        ? this.#closing.signal.reason
        : new AllAddressesFailedError([{ address, failure: toDialError(error) }]).toConnectionError(),
    );
  }

  /** Why an address fails: its last failure, or an earlier one if the last attempt was cut short. */
  #reasonOf(address: string, failure: DialError): DialError {
    if (failure instanceof DialDeadlineError) return this.#reasons.get(address) ?? failure;
    this.#reasons.set(address, failure);
    return failure;
  }

  async #dial(address: string, limitMs: number, giveUpAt: number): Promise<Link> {
    const { clock, transport, role } = this.#settings;
    const attempt = new AbortController();
    const stop = () => attempt.abort(this.#closing.signal.reason);
    this.#closing.signal.addEventListener('abort', stop, { once: true });
    const within = <T>(answer: Promise<T>, timeoutMs: number) => {
      const leftMs = this.#mayGiveUp() ? giveUpAt - clock.now() : timeoutMs;
      const ms = Math.max(1, Math.min(timeoutMs, leftMs));
      const reason = `no answer within ${Math.round(ms)} ms`;
      const Failure = ms < Math.min(timeoutMs, TELLING_MS) ? DialDeadlineError : DialError;
      const tooLate = () => new Failure('CONNECTION_FAILED', reason, { reachedServer: true });
      return withDeadline(clock, raceAbort(answer, attempt.signal), ms, tooLate);
    };
    let dialled: Promise<Link> | undefined;
    try {
      const credentials = await within(this.#credentials(), DIAL_TIMEOUT_MS);
      this.#credentialsUsed = credentials;
      dialled = transport.dial(address, { role, credentials, signal: attempt.signal });
      return await within(dialled, limitMs);
    } catch (error) {
      attempt.abort(error);
      // A connection that opens after all is closed again.
      dialled?.then(
        (link) => link.destroy(toDialError(error)),
        () => {},
      );
      throw error;
    } finally {
      this.#closing.signal.removeEventListener('abort', stop);
    }
  }

  async #credentials(): Promise<Credentials | undefined> {
    try {
      const credentials = await this.#settings.credentials?.();
      if (this.#settings.credentials) checkCredentials(credentials);
      return credentials;
    } catch (cause) {
      throw new DialError('CONNECTION_FAILED', 'the credentials function failed', {
        reachedServer: true,
        cause,
      });
    }
  }

  #renewal(link: Link): CredentialRenewal | undefined {
    const { clock, credentials } = this.#settings;
    const used = this.#credentialsUsed;
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
    this.#wasOpen = true;
    this.#dials = 0;
    const { resolve } = this.#next;
    this.#next = deferred();
    this.#apply({ type: 'opened', address: link.address });
    resolve(link);
  }

  /** Waits before the next attempt, or throws when there will be none. */
  async #waitAfter(failure: AllAddressesFailedError, giveUpAt: number): Promise<void> {
    const { clock } = this.#settings;
    this.#closing.signal.throwIfAborted();
    const leftMs = this.#mayGiveUp() ? giveUpAt - clock.now() : Number.POSITIVE_INFINITY;
    if (leftMs < LAST_ATTEMPT_MS || (this.#mayGiveUp() && failure.isPermanent)) throw failure;
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

  #mayGiveUp(): boolean {
    return !this.#settings.isEstablished();
  }

  #apply(event: ConnectionEvent): void {
    const next = transition(this.#state, event);
    if (next === this.#state) return;
    this.#state = next;
    this.#settings.onChange(next, event);
  }
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const shuffled = [...items];
  for (let last = shuffled.length - 1; last > 0; last--) {
    const chosen = Math.floor(random() * (last + 1));
    [shuffled[last], shuffled[chosen]] = [shuffled[chosen] as T, shuffled[last] as T];
  }
  return shuffled;
}
