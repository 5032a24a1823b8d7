import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { ConfigurationError } from '../errors.js';
import { type Logger, silentLogger } from '../events.js';
import type { BackoffPolicy } from '../transport/connection/backoff.js';
import { type Credentials, UNDEFINED_URL } from '../transport/port.js';
import {
  type Check,
  checkOptions,
  expectDuration,
  expectFunction,
  expectInteger,
  expectNumber,
  expectRecord,
  expectSignal,
  show,
} from '../util/checks.js';

/** The delays between attempts to connect. */
export interface ReconnectOptions {
  /** The upper bound of the first delay, in milliseconds, 1 or more. @defaultValue 100 */
  readonly initialDelayMs?: number | undefined;
  /**
   * If the port refuses the connection, another attempt follows within this time, in milliseconds, 1 or more. @defaultValue
   * 1000
   */
  readonly refusedMaxDelayMs?: number | undefined;
  /**
   * If a server accepts the connection and then fails: the upper bound of the delay, in milliseconds, 1 or more.
   * @defaultValue 30000
   */
  readonly maxDelayMs?: number | undefined;
  /** The factor by which the bound grows after each failure, 1 to 100. @defaultValue 2 */
  readonly factor?: number | undefined;
}

/** The options of a {@link Broker}. */
export interface BrokerOptions {
  /** Shown beside each connection in the server's management page. */
  readonly name?: string | undefined;
  /**
   * The heartbeat interval in seconds, 1 to 3600. After two to three intervals without a sign of life the connection counts
   * as lost. @defaultValue 10
   */
  readonly heartbeatSeconds?: number | undefined;
  /**
   * The time limit for the first connection, in milliseconds, 1 or more, or `Infinity`. After it, what waits for the connection
   * fails: `connect` and sends reject, and consumers close with the error. Later connections are tried indefinitely.
   * @defaultValue 30000
   */
  readonly startupTimeoutMs?: number | undefined;
  /** The delays between attempts to connect, the first ones included. */
  readonly reconnect?: ReconnectOptions | undefined;
  /**
   * Called before every attempt to connect, instead of using the URL's user and password. With `expiresAt`, the connection
   * gets a new password when 80 % of the time has passed.
   */
  readonly credentials?: (() => Credentials | Promise<Credentials>) | undefined;
  /** For `amqps:` URLs: certificates and keys as Node's `tls.connect` takes them. The server's certificate is verified. */
  readonly tls?: TlsOptions | undefined;
  /** The largest body that is sent or handled, in bytes, 1 to 128 MiB. @defaultValue 1048576 (1 MiB) */
  readonly maxBodyBytes?: number | undefined;
  /**
   * The logger for events: anything with `debug`, `info`, `warn` and `error` in pino's shape. @defaultValue nothing is logged
   */
  readonly logger?: Logger | undefined;
  /** Closes the broker, also while it is connecting. */
  readonly signal?: AbortSignal | undefined;
}

/** The options of `broker.close()`. */
export interface CloseOptions {
  /**
   * The time limit for running handlers and pending sends, in milliseconds, 0 or more. The default is below the 30 s that
   * Kubernetes leaves between SIGTERM and SIGKILL. @defaultValue 25000
   */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait in the same way as the deadline. */
  readonly signal?: AbortSignal | undefined;
}

/** {@link BrokerOptions} with every default filled in. */
export interface ResolvedBrokerOptions {
  readonly name: string | undefined;
  readonly heartbeatSeconds: number;
  readonly startupTimeoutMs: number;
  readonly reconnect: BackoffPolicy;
  readonly credentials: (() => Credentials | Promise<Credentials>) | undefined;
  readonly tls: TlsOptions | undefined;
  readonly maxBodyBytes: number;
  readonly logger: Logger;
  readonly signal: AbortSignal | undefined;
}

const expectLogger: Check = (value) =>
  expectRecord(value) === undefined &&
  ['debug', 'info', 'warn', 'error'].every(
    (level) => typeof (value as Record<string, unknown>)[level] === 'function',
  )
    ? undefined
    : 'an object with the functions debug, info, warn and error';

const MAX_NAME_BYTES = 1_000;

/** @internal */
export const brokerChecks: Readonly<Record<string, Check>> = {
  // The name travels in the frame that opens a connection, which is only guaranteed to hold 4 096 bytes.
  name: (value) =>
    typeof value === 'string' && Buffer.byteLength(value) <= MAX_NAME_BYTES
      ? undefined
      : `a string of at most ${MAX_NAME_BYTES} bytes`,
  heartbeatSeconds: expectInteger(1, 3_600),
  startupTimeoutMs: expectDuration(1, { infinity: true }),
  reconnect: expectRecord,
  credentials: expectFunction,
  tls: expectRecord,
  maxBodyBytes: expectInteger(1, 128 * 1024 * 1024),
  logger: expectLogger,
  signal: expectSignal,
};

const reconnectChecks: Readonly<Record<string, Check>> = {
  initialDelayMs: expectDuration(1),
  refusedMaxDelayMs: expectDuration(1),
  maxDelayMs: expectDuration(1),
  factor: expectNumber(1, 100),
};

/** Checks the options and fills in the defaults. */
export function resolveBrokerOptions(options: BrokerOptions = {}): ResolvedBrokerOptions {
  checkOptions('Broker', options, brokerChecks);
  checkOptions('Broker: reconnect', options.reconnect, reconnectChecks);
  const { reconnect = {} } = options;
  return {
    name: options.name,
    heartbeatSeconds: options.heartbeatSeconds ?? 10,
    startupTimeoutMs: options.startupTimeoutMs ?? 30_000,
    reconnect: {
      initialDelayMs: reconnect.initialDelayMs ?? 100,
      refusedMaxDelayMs: reconnect.refusedMaxDelayMs ?? 1_000,
      maxDelayMs: reconnect.maxDelayMs ?? 30_000,
      factor: reconnect.factor ?? 2,
    },
    credentials: options.credentials,
    tls: options.tls,
    maxBodyBytes: options.maxBodyBytes ?? 1024 * 1024,
    logger: options.logger ?? silentLogger,
    signal: options.signal,
  };
}

/** The URLs to connect to. A wrong scheme or syntax is detected on dialling. */
export function resolveUrls(url: string | readonly string[] | undefined): readonly string[] {
  // Detected on dialling, like any other wrong URL.
  if (url === undefined) return [UNDEFINED_URL];
  // A copy, since `every` skips the holes of a list, and a proxy or the caller may change it later.
  const urls: unknown[] = typeof url === 'string' ? [url] : Array.isArray(url) ? [...(url as unknown[])] : [];
  for (const [at, it] of urls.entries()) if (it === undefined) urls[at] = UNDEFINED_URL;
  if (urls.length > 0 && urls.every((it) => typeof it === 'string')) return urls as string[];
  throw new ConfigurationError('url', `Broker: expected a URL or a list of at least one, got ${show(url)}`);
}
