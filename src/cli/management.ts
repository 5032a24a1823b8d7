import type { ManagementAddress } from './server-address.js';

/** Why the management API gave no answer. */
export class ManagementFailure extends Error {
  /** The HTTP status; undefined when there was no answer. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.name = 'ManagementFailure';
    this.status = status;
  }
}

/** A small, read-only client of RabbitMQ's management API. */
export class Management {
  readonly #address: ManagementAddress;
  readonly #signal: AbortSignal;
  readonly #timeoutMs: number;

  constructor(address: ManagementAddress, signal: AbortSignal, timeoutMs = 10_000) {
    this.#address = address;
    this.#signal = signal;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Reads the resource at `/api/` and these parts, which are encoded here.
   *
   * @throws ManagementFailure
   */
  async get<T>(parts: readonly string[], query = ''): Promise<T> {
    const response = await this.#fetch(parts, query);
    if (response.ok) return (await this.#read(response)) as T;
    await response.body?.cancel();
    const { status } = response;
    throw new ManagementFailure(`${this.#where} answered ${status} ${reasonOf(status)}`.trim(), status);
  }

  /** The same for an endpoint that answers by its status: 200 or 503. */
  async health(parts: readonly string[]): Promise<unknown> {
    const response = await this.#fetch(parts, '');
    if (response.ok || response.status === 503) return this.#read(response);
    await response.body?.cancel();
    throw new ManagementFailure(`${this.#where} answered ${response.status}`, response.status);
  }

  async #fetch(parts: readonly string[], query: string): Promise<Response> {
    const { base, username, password } = this.#address;
    const path = parts.map(encodeURIComponent).join('/');
    const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    try {
      return await fetch(`${base}/api/${path}${query}`, {
        headers: { authorization, accept: 'application/json' },
        // The password must not be sent to the target of a redirect.
        redirect: 'error',
        signal: AbortSignal.any([this.#signal, AbortSignal.timeout(this.#timeoutMs)]),
      });
    } catch (error) {
      this.#signal.throwIfAborted();
      throw new ManagementFailure(`${this.#where} does not answer (${causeOf(error)})`);
    }
  }

  async #read(response: Response): Promise<unknown> {
    try {
      return await response.json();
    } catch (error) {
      this.#signal.throwIfAborted();
      throw new ManagementFailure(
        `${this.#where} does not answer as the management API does (${causeOf(error)})`,
      );
    }
  }

  get #where(): string {
    return `the management API at ${this.#address.base}`;
  }
}

function reasonOf(status: number): string {
  if (status === 401) return '(it refuses the user: wrong password, or no management tag)';
  if (status === 404) return '(not found)';
  return '';
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'it took too long';
  const { cause } = error;
  if (cause instanceof AggregateError) return causeOf(cause.errors[0]);
  return cause instanceof Error ? causeOf(cause) : error.message;
}
