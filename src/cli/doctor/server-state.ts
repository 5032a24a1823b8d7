/** The state of the server, as the doctor sees it. */

export interface Policy {
  readonly name: string;
  readonly pattern: string;
  readonly definition: Readonly<Record<string, unknown>>;
  readonly priority: number;
  /** `all`, `queues`, `quorum_queues`, … */
  readonly applyTo: string;
}

export interface Queue {
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** The policy that applies to it. */
  readonly policy: Policy | undefined;
  /** All settings in force: its policy, merged with an operator policy. */
  readonly applied: Readonly<Record<string, unknown>>;
}

export interface Exchange {
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** Receives messages that no queue of this exchange takes. */
  readonly alternate: string | undefined;
}

export interface Binding {
  readonly source: string;
  readonly destination: string;
  readonly destinationType: 'queue' | 'exchange';
  readonly routingKey: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** A virtual host. */
export interface Topology {
  readonly queues: ReadonlyMap<string, Queue>;
  readonly exchanges: ReadonlyMap<string, Exchange>;
  /** Without those of the default exchange, which has one for each queue. */
  readonly bindings: readonly Binding[];
  readonly policies: readonly Policy[];
}

/** A user's permissions in a virtual host: regular expressions over names. */
export interface Permissions {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

export interface Alarm {
  readonly node: string;
  readonly resource: string;
}

/** A value, or why it is unknown. */
export type Known<T> = { readonly value: T } | { readonly missing: string };
