import { ConfigurationError } from '../../errors.js';
import { expectDate } from '../../util/checks.js';
import { type Clock, type Timer, withDeadline } from '../../util/clock.js';
import type { Credentials, Link } from '../port.js';

/** The share of a password's lifetime after which the server gets the next one. */
const RENEW_AT = 0.8;
/** The delay before a failed renewal is tried again, and the time limit of one renewal. */
const RETRY_MS = 5_000;

/**
 * Gives the server a new password before the old one expires (`connection.update-secret`). A failed renewal is tried again.
 * If the server drops the connection in the end, the next one is dialled with fresh credentials anyway.
 */
export class CredentialRenewal {
  readonly #clock: Clock;
  readonly #link: Link;
  readonly #credentials: () => Credentials | Promise<Credentials>;
  #timer: Timer | undefined;
  #stopped = false;

  /** Starts from the credentials that the link was dialled with. */
  constructor(
    clock: Clock,
    link: Link,
    credentials: () => Credentials | Promise<Credentials>,
    used: Credentials,
  ) {
    this.#clock = clock;
    this.#link = link;
    this.#credentials = credentials;
    this.#schedule(used);
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer) this.#clock.clearTimeout(this.#timer);
  }

  #schedule({ expiresAt }: Credentials): void {
    if (expiresAt === undefined) return;
    const lifeMs = expiresAt.getTime() - this.#clock.wallNow();
    this.#arm(Math.max(1_000, lifeMs * RENEW_AT));
  }

  #arm(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer = this.#clock.setTimeout(() => void this.#renew(), delayMs);
    this.#timer.unref();
  }

  async #renew(): Promise<void> {
    try {
      const fresh = await withDeadline(
        this.#clock,
        Promise.resolve().then(this.#credentials),
        RETRY_MS,
        () => new Error('the credentials function did not answer'),
      );
      if (this.#stopped) return;
      checkCredentials(fresh);
      if ('password' in fresh) await this.#link.updateSecret(fresh.password);
      this.#schedule(fresh);
    } catch {
      this.#arm(RETRY_MS);
    }
  }
}

/**
 * Checks the result of the program's function, which may not have been type-checked. The result itself appears in no message.
 *
 * @throws ConfigurationError
 */
export function checkCredentials(answer: unknown): asserts answer is Credentials {
  const { username, password, mechanism, expiresAt } = Object(answer) as Record<string, unknown>;
  const isKnown =
    mechanism === undefined
      ? typeof username === 'string' && typeof password === 'string'
      : mechanism === 'EXTERNAL';
  if (isKnown && (expiresAt === undefined || expectDate(expiresAt) === undefined)) return;
  const expected = "{ username, password } or { mechanism: 'EXTERNAL' }, and 'expiresAt' as a valid Date";
  throw new ConfigurationError(
    'credentials',
    `Broker: the credentials function must answer with ${expected}`,
  );
}
