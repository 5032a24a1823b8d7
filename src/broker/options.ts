import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { ConfigurationError } from '../errors.js';
import { type Logger, silentLogger } from '../events.js';
import type { BackoffPolicy } from '../transport/connection/backoff.js';
import type { Credentials } from '../transport/port.js';
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

/** How long to wait between attempts to connect. */
export interface ReconnectOptions {
  /** The upper bound of the first delay, in milliseconds, 1 or more. @defaultValue 100 */
  readonly initialDelayMs?: number | undefined;
  /** Where nobody listens, another attempt is made within this many milliseconds, 1 or more. @defaultValue 1000 */
  readonly refusedMaxDelayMs?: number | undefined;
  /** Where a server answers and then fails: the upper bound of the delay, in milliseconds, 1 or more. @defaultValue 30000 */
  readonly maxDelayMs?: number | undefined;
  /** What the bound is multiplied with after each failure, 1 to 100. @defaultValue 2 */
  readonly factor?: number | undefined;
}

/** The options of a {@link Broker}. */
export interface BrokerOptions {
  /** Shown beside each connection in the server's management page. */
  readonly name?: string | undefined;
  /** How often both sides show that they live, in seconds, 1 to 3600; after two to three of them without a sign the connection counts as lost. @defaultValue 10 */
  readonly heartbeatSeconds?: number | undefined;
  /** How long the first connection is tried for, in milliseconds, 1 or more, or `Infinity`. Later ones are tried forever. @defaultValue 30000 */
  readonly startupTimeoutMs?: number | undefined;
  /** How long to wait between attempts to connect, the first ones included. */
  readonly reconnect?: ReconnectOptions | undefined;
  /**
   * Asked before every attempt to connect, instead of the URL's user and password. With `expiresAt` the server gets the next
   * password when 80 % of the time has passed.
   */
  readonly credentials?: (() => Credentials | Promise<Credentials>) | undefined;
  /** For `amqps:` URLs: certificates and keys as Node's `tls.connect` takes them. The server's certificate is verified. */
  readonly tls?: TlsOptions | undefined;
  /** The largest body that is sent or handled, in bytes, 1 to 128 MiB. @defaultValue 1048576 (1 MiB) */
  readonly maxBodyBytes?: number | undefined;
  /** Where events are logged: anything with `debug`, `info`, `warn` and `error` in pino's shape. @defaultValue nothing is logged */
  readonly logger?: Logger | undefined;
  /** Closes the broker, also while it is connecting. */
  readonly signal?: AbortSignal | undefined;
}

/** The options of `broker.close()`. */
export interface CloseOptions {
  /**
   * How long running handlers and pending sends may take, in milliseconds, 0 or more. The default is under the 30 s that
   * Kubernetes gives a process between SIGTERM and SIGKILL. @defaultValue 25000
   */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait as the deadline does. */
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

const isLogger: Check = (value) =>
  expectRecord(value) === undefined &&
  ['debug', 'info', 'warn', 'error'].every(
    (level) => typeof (value as Record<string, unknown>)[level] === 'function',
  )
    ? undefined
    : 'an object with the functions debug, info, warn and error';

const MAX_NAME_BYTES = 1_000;

const brokerChecks: Readonly<Record<string, Check>> = {
  // It travels in the frame that opens a connection, which holds 4 096 bytes at least.
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
  logger: isLogger,
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

/** Stands for a URL that was given and is undefined. */
export const UNDEFINED_URL = 'undefined';

/** The URLs to connect to. A wrong scheme or syntax is found when they are dialled. */
export function resolveUrls(url: string | readonly string[] | undefined): readonly string[] {
  // Found out when it is dialled, as any URL that is wrong.
  if (url === undefined) return [UNDEFINED_URL];
  // A copy, since `every` passes over the holes of a list, and a proxy or the caller may change it later.
  const urls = typeof url === 'string' ? [url] : Array.isArray(url) ? [...url] : [];
  if (urls.length > 0 && urls.every((it) => typeof it === 'string')) return urls;
  throw new ConfigurationError('url', `Broker: expected a URL or a list of at least one, got ${show(url)}`);
}
