import { ConnectionError, type ConnectionErrorCode } from '../../errors.js';
import { DialFailure } from '../port.js';

/** What no further attempt can mend before somebody changes a setting. */
const PERMANENT: ReadonlySet<ConnectionErrorCode> = new Set([
  'ACCESS_REFUSED',
  'VHOST_NOT_FOUND',
  'TLS_REFUSED',
  'INVALID_URL',
]);

/** An attempt that ended with the time for the start, before it could tell anything. What an earlier one met says more. */
export class CutShort extends DialFailure {}

/** What went wrong with each address of a round. */
export type DialFailures = { readonly address: string; readonly failure: DialFailure }[];

/** Why no address could be connected to. */
export class RoundFailure extends Error {
  readonly #failures: Readonly<DialFailures>;

  constructor(failures: Readonly<DialFailures>) {
    super('no address could be connected to');
    this.#failures = failures;
  }

  get reachedServer(): boolean {
    return this.#failures.some(({ failure }) => failure.reachedServer);
  }

  get #worst(): DialFailures[number] | undefined {
    return this.#failures.find(({ failure }) => PERMANENT.has(failure.code)) ?? this.#failures[0];
  }

  get isPermanent(): boolean {
    return this.#worst !== undefined && PERMANENT.has(this.#worst.failure.code);
  }

  toConnectionError(): ConnectionError {
    const attempts = this.#failures.map(({ address, failure }) => ({ address, reason: failure.message }));
    const list = attempts.map(({ address, reason }) => `${address}: ${reason}`).join('; ');
    return new ConnectionError(
      this.#worst?.failure.code ?? 'CONNECTION_FAILED',
      `Could not connect to RabbitMQ (${list})`,
      { attempts, cause: this.#worst?.failure.cause },
    );
  }
}

export function toDialFailure(error: unknown): DialFailure {
  if (error instanceof DialFailure) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new DialFailure('CONNECTION_FAILED', message, { reachedServer: true, cause: error });
}
