import { traces } from '../../diagnostics/channels.js';
import { traceConnect } from '../../diagnostics/connect.js';
import { type Clock, raceAbort, withDeadline } from '../../util/clock.js';
import { type Credentials, DialError, type Link, type Role, type Transport } from '../port.js';
import { checkCredentials } from './credential-renewal.js';
import { AllAddressesFailedError, DialDeadlineError, type DialErrors, toDialError } from './dial-errors.js';

/** The time limit for one address, from the first packet to an open connection, and as much for the credentials before it. */
const DIAL_TIMEOUT_MS = 10_000;

/** A shorter timeout while other addresses are untried, so that one hung host does not delay the rest. */
const FIRST_ROUND_TIMEOUT_MS = 3_000;

/** A shorter silence says nothing about an address. */
const TELLING_MS = 1_000;

export interface DiallerSettings {
  /** The name of the broker. */
  readonly broker?: string | undefined;
  readonly role: Role;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Returns fresh credentials for each attempt; undefined: those of the URL. */
  readonly credentials: (() => Credentials | Promise<Credentials>) | undefined;
}

/** Dials the addresses of a transport, for the first link and for the next one after each loss. */
export class Dialler {
  readonly #settings: DiallerSettings;
  readonly #signal: AbortSignal;
  /** The last failure of each address. */
  readonly #failures = new Map<string, DialError>();
  #credentialsUsed: Credentials | undefined;
  /** Attempts since the last link. */
  #attempts = 0;
  #hasDialled = false;

  /** @param signal - aborts the attempt in progress, and makes no further one */
  constructor(settings: DiallerSettings, signal: AbortSignal) {
    this.#settings = settings;
    this.#signal = signal;
  }

  /** The credentials of the last attempt, if they came from the settings. */
  get credentialsUsed(): Credentials | undefined {
    return this.#credentialsUsed;
  }

  /**
   * Tries every address once, in random order, until one answers. Rejects with an `AllAddressesFailedError`.
   *
   * @param round - counts from 1 after each loss
   * @param leftMs - returns the time that is left for all rounds
   */
  async round(round: number, leftMs: () => number): Promise<Link> {
    const { clock, transport } = this.#settings;
    const failures: DialErrors = [];
    const isHasty = round === 1 && transport.addresses.length > 1;
    for (const address of shuffle(transport.addresses, clock.random)) {
      if (this.#signal.aborted) break;
      try {
        const limitMs = isHasty ? FIRST_ROUND_TIMEOUT_MS : DIAL_TIMEOUT_MS;
        const link = await this.#traced(address, () => this.#dial(address, limitMs, leftMs));
        this.#hasDialled = true;
        this.#attempts = 0;
        return link;
      } catch (error) {
        failures.push({ address, failure: this.#failureOf(address, toDialError(error)) });
      }
    }
    throw new AllAddressesFailedError(failures);
  }

  #traced(address: string, dial: () => Promise<Link>): Promise<Link> {
    this.#attempts++;
    if (!traces.connect.hasSubscribers) return dial();
    const { broker, role } = this.#settings;
    const attempt = { broker, address, role, attempt: this.#attempts, reconnect: this.#hasDialled };
    return traceConnect(attempt, dial, (error) =>
      this.#signal.aborted
        ? this.#signal.reason
        : new AllAddressesFailedError([{ address, failure: toDialError(error) }]).toConnectionError(),
    );
  }

  /** Why an address fails: its last failure, or an earlier one if the last attempt was cut short. */
  #failureOf(address: string, failure: DialError): DialError {
    if (failure instanceof DialDeadlineError) return this.#failures.get(address) ?? failure;
    this.#failures.set(address, failure);
    return failure;
  }

  async #dial(address: string, limitMs: number, leftMs: () => number): Promise<Link> {
    const { clock, transport, role } = this.#settings;
    const attempt = new AbortController();
    const stop = () => attempt.abort(this.#signal.reason);
    this.#signal.addEventListener('abort', stop, { once: true });
    const within = <T>(answer: Promise<T>, timeoutMs: number) => {
      const ms = Math.max(1, Math.min(timeoutMs, leftMs()));
      const reason = `no answer within ${Math.round(ms)} ms`;
      const Failure = ms < Math.min(timeoutMs, TELLING_MS) ? DialDeadlineError : DialError;
      const timeoutError = () => new Failure('CONNECTION_FAILED', reason, { reachedServer: true });
      return withDeadline(clock, raceAbort(answer, attempt.signal), ms, timeoutError);
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
      this.#signal.removeEventListener('abort', stop);
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
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const shuffled = [...items];
  for (let last = shuffled.length - 1; last > 0; last--) {
    const chosen = Math.floor(random() * (last + 1));
    [shuffled[last], shuffled[chosen]] = [shuffled[chosen] as T, shuffled[last] as T];
  }
  return shuffled;
}
