import { ConnectionError, type ConnectionErrorCode } from '../../errors.js';
import { DialError } from '../port.js';

/** Failures that no further attempt can fix until a setting is changed. */
const PERMANENT: ReadonlySet<ConnectionErrorCode> = new Set([
  'ACCESS_REFUSED',
  'VHOST_NOT_FOUND',
  'TLS_REFUSED',
  'INVALID_URL',
]);

/** An attempt that was cut short by the end of the startup time. The failure of an earlier attempt says more. */
export class DialDeadlineError extends DialError {}

/** The failures of each address in a round. */
export type DialErrors = { readonly address: string; readonly failure: DialError }[];

/** Why no address could be connected to. */
export class AllAddressesFailedError extends Error {
  readonly #failures: Readonly<DialErrors>;

  constructor(failures: Readonly<DialErrors>) {
    super('no address could be connected to');
    this.#failures = failures;
  }

  get reachedServer(): boolean {
    return this.#failures.some(({ failure }) => failure.reachedServer);
  }

  get #worst(): DialErrors[number] | undefined {
    return this.#failures.find(({ failure }) => PERMANENT.has(failure.code)) ?? this.#failures[0];
  }

  get isPermanent(): boolean {
    return this.#worst !== undefined && PERMANENT.has(this.#worst.failure.code);
  }

  /** @param triedMs - the time spent on several rounds; undefined after a single one */
  toConnectionError(triedMs?: number): ConnectionError {
    const attempts = this.#failures.map(({ address, failure }) => ({ address, reason: failure.message }));
    const list = attempts.map(({ address, reason }) => `${address}: ${reason}`).join('; ');
    const tried =
      triedMs === undefined || this.isPermanent
        ? ''
        : `. Tried for ${Math.round(triedMs / 100) / 10} s ('startupTimeoutMs')`;
    return new ConnectionError(
      this.#worst?.failure.code ?? 'CONNECTION_FAILED',
      `Could not connect to RabbitMQ (${list})${tried}`,
      { attempts, cause: this.#worst?.failure.cause },
    );
  }
}

export function toDialError(error: unknown): DialError {
  if (error instanceof DialError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new DialError('CONNECTION_FAILED', message, { reachedServer: true, cause: error });
}
