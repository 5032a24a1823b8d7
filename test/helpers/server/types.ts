import type { ManagementApi } from './management.js';

/** Where a RabbitMQ server is. Plain data: handed from the global set-up to the tests. */
export interface ServerAddress {
  /** AMQP URL with credentials and without a virtual host. */
  readonly url: string;
  /** URL of the management HTTP API, with credentials. */
  readonly managementUrl: string;
  /** As the server states it: `4.1.2`. */
  readonly version: string;
  /** How it was found, for people. */
  readonly description: string;
}

/** A server that tests may use side by side, each in a virtual host of its own. */
export interface TestServer extends ServerAddress {
  /** Ends the server if it was started for the tests. Safe to call twice. */
  stop(): Promise<void>;
}

export interface PrivateServerOptions {
  /** More lines for `rabbitmq.conf`, such as `heartbeat = 5`. */
  readonly configuration?: readonly string[];
  /** Settings of the application `rabbit` that `rabbitmq.conf` has no key for, as Erlang terms. */
  readonly advanced?: Readonly<Record<string, string | number>>;
  /** Plugins to enable beside `rabbitmq_management`. */
  readonly plugins?: readonly string[];
  /** Makes it speak TLS too, at {@link PrivateServer.tlsUrl}, to clients that show a certificate of the same authority. */
  readonly tls?: ServerCertificate;
}

/** In PEM. */
export interface ServerCertificate {
  /** The certificate of the authority that issued the other. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** A server of one test alone, which may do with it as it likes. */
export interface PrivateServer extends TestServer, AsyncDisposable {
  /** The management API of its virtual host `/`. */
  readonly management: ManagementApi;
  /** AMQP URL for TLS, without credentials, when it was asked for. */
  readonly tlsUrl: string | undefined;
  /** Kills the server as a power cut would (SIGKILL). Resolves when it is gone. Its data stays. */
  kill(): Promise<void>;
  /** Lets the server end in its own order (SIGTERM): clients are told. Its data stays. */
  shutdown(): Promise<void>;
  /** Starts it again after {@link kill} or {@link shutdown}: same ports, same data. Resolves when AMQP clients can connect. */
  start(): Promise<void>;
  /** Freezes the server (SIGSTOP): its sockets stay open, nothing answers. */
  pause(): Promise<void>;
  unpause(): Promise<void>;
  /** Runs `rabbitmqctl` against it and returns what it printed. Rejects if it fails. */
  ctl(...args: string[]): Promise<string>;
  /** The same, with something to read on its stdin. */
  ctlWithInput(input: string, ...args: string[]): Promise<string>;
  /**
   * Writes what the server knows about its queues to disk. A quorum queue declared within seconds before a kill is
   * otherwise itself lost, with every confirmed message in it. In a cluster on 4.3 whose most nodes are killed, so are its
   * consumers on the node that lives: their channels stay open, and they are not notified.
   */
  settleMetadata(): Promise<void>;
}

/** The content of `advanced.config`. */
export function advancedConfig({ advanced = {} }: PrivateServerOptions): string {
  const terms = Object.entries(advanced).map(([name, value]) => `{${name}, ${value}}`);
  return `[{rabbit, [${terms.join(', ')}]}].\n`;
}
