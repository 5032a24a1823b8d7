import type { ConnectionOptions as TlsConnectionOptions } from 'node:tls';
import { connect, credentials as mechanisms, type SocketOptions } from 'amqplib';
import { ConfigurationError, ConnectionError } from '../../errors.js';
import type { Clock } from '../../util/clock.js';
import { DialError, type DialOptions, type Link, type Transport } from '../port.js';
import { type Address, parseAddress } from './address.js';
import { dialFailure } from './amqplib-errors.js';
import { framesOver } from './frames/frames-over.js';
import { HandshakeTap } from './handshake-tap.js';
import { RabbitLink } from './link.js';

export interface RabbitOptions {
  /** The name in the management UI. */
  readonly name: string | undefined;
  readonly heartbeatSeconds: number;
  readonly tls: TlsConnectionOptions | undefined;
  readonly clock: Clock;
  readonly productVersion: string;
}

/** How long a TCP connection may be idle before the kernel probes the other side. */
const KEEP_ALIVE_DELAY_MS = 30_000;

/** Dials RabbitMQ servers through amqplib. */
export class RabbitTransport implements Transport {
  readonly addresses: readonly string[];
  readonly #addresses: ReadonlyMap<string, Address>;
  readonly #options: RabbitOptions;

  /** @throws ConnectionError with the code INVALID_URL */
  constructor(urls: readonly string[], options: RabbitOptions) {
    const addresses = urls.map(parseAddress);
    this.#addresses = new Map(addresses.map((address) => [address.label, address]));
    for (const address of addresses) {
      const { username, password } = this.#addresses.get(address.label) as Address;
      if (username === address.username && password === address.password) continue;
      throw new ConnectionError(
        'INVALID_URL',
        `Invalid broker URL: the list has ${address.label} twice, with different credentials`,
      );
    }
    this.addresses = [...this.#addresses.keys()];
    this.#options = options;
    if (new Set(addresses.map((address) => address.secure)).size > 1) {
      // An attacker who keeps the TLS hosts from responding would be sent the password in the clear.
      throw new ConnectionError(
        'INVALID_URL',
        'Invalid broker URL: a list has amqps: and amqp: in it, and would go on without TLS where TLS fails',
      );
    }
    if (options.tls && !addresses.some((address) => address.secure)) {
      throw new ConfigurationError('tls', "Broker: the option 'tls' needs an amqps: URL");
    }
  }

  async dial(label: string, { role, credentials, signal }: DialOptions): Promise<Link> {
    const address = this.#addresses.get(label) as Address;
    const { clock, heartbeatSeconds, name, productVersion, tls } = this.#options;
    signal.throwIfAborted();
    // amqplib returns the connection only when it is open, and has no deadline of its own. The signal, which Node accepts as
    // a socket option, ends it in every phase before.
    const abortSocket = new AbortController();
    const abandon = () => abortSocket.abort();
    signal.addEventListener('abort', abandon, { once: true });
    const { connection_timeout: limitMs } = address.settings;
    const timer = limitMs === undefined ? undefined : clock.setTimeout(abandon, limitMs);
    const tap = new HandshakeTap();
    const dial = () =>
      connect(
        {
          protocol: address.secure ? 'amqps' : 'amqp',
          hostname: address.hostname,
          port: address.port,
          // amqplib decodes it again.
          vhost: encodeURIComponent(address.vhost),
          heartbeat: address.settings.heartbeat ?? heartbeatSeconds,
          ...(address.settings.frameMax === undefined ? undefined : { frameMax: address.settings.frameMax }),
          ...(address.settings.channelMax === undefined
            ? undefined
            : { channelMax: address.settings.channelMax }),
        },
        {
          ...(address.secure ? tls : undefined),
          signal: abortSocket.signal,
          // Without it, requests wait up to 40 ms for a delayed TCP acknowledgement.
          noDelay: true,
          keepAlive: true,
          keepAliveDelay: KEEP_ALIVE_DELAY_MS,
          credentials: mechanismOf(address, credentials),
          clientProperties: {
            product: 'leveret',
            version: productVersion,
            connection_name: name === undefined ? `leveret (${role})` : `${name} (${role})`,
          },
          // Its type declaration leaves out what it passes on to Node's socket.
        } as SocketOptions,
      );
    try {
      const model = await (address.secure ? dial() : tap.around(dial));
      const link = new RabbitLink(model, address.label, clock, abortSocket, framesOver(model));
      if (signal.aborted || !link.isOpen) {
        link.destroy(new Error('abandoned'));
        throw new DialError('CONNECTION_FAILED', 'the connection was lost at once', {
          reachedServer: true,
        });
      }
      return link;
    } catch (error) {
      abortSocket.abort();
      throw dialFailure(error, address, tap.refusal, tap.mayExpectTls);
    } finally {
      tap.stop();
      if (timer) clock.clearTimeout(timer);
      signal.removeEventListener('abort', abandon);
    }
  }
}

function mechanismOf(address: Address, given: DialOptions['credentials']) {
  if (given && 'mechanism' in given) return mechanisms.external();
  return mechanisms.plain(given?.username ?? address.username, given?.password ?? address.password);
}
