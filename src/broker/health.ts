import type { ConsumerState } from '../consumer/consumer-state.js';
import type { RelayHealth } from '../outbox/relay.js';
import type { ConnectionState } from '../transport/connection/connection-state.js';
import type { Role } from '../transport/port.js';

/**
 * A snapshot of a broker, for a readiness endpoint. Do not use it for a liveness endpoint: restarting the process does not
 * bring a server back.
 */
export interface BrokerHealth {
  /**
   * `up`: everything that this broker was asked for is at work. `degraded`: something is waiting or recovering, or a consumer
   * has failed. `down`: no connection is open.
   */
  readonly status: 'up' | 'degraded' | 'down';
  readonly connections: readonly ConnectionHealth[];
  /**
   * Includes consumers that ended with an error, as `closed`, until another consumer of the same queue, or of the same
   * private subscription, replaces them.
   */
  readonly consumers: readonly ConsumerHealth[];
  readonly producers: readonly ProducerHealth[];
  /** Relays that are open, and those that failed. */
  readonly relays: readonly RelayHealth[];
}

/** A snapshot of one connection. */
export interface ConnectionHealth {
  readonly role: Role;
  readonly status: ConnectionState['status'];
  /** The server that the connection leads to. */
  readonly address: string | undefined;
  /** The reason of the server's resource alarm, while there is one. */
  readonly blocked: string | undefined;
  /** Why the connection is not open. */
  readonly error: string | undefined;
}

/** A snapshot of one consumer. */
export interface ConsumerHealth {
  readonly queue: string;
  readonly state: ConsumerState['status'];
  readonly lastDeliveryAt: Date | undefined;
  /** Why no message can be handled now; never contains a password. */
  readonly error: string | undefined;
  /** Messages whose handler, or loop body, is running. */
  readonly inFlight: number;
}

/** A snapshot of one producer. */
export interface ProducerHealth {
  /** The queue or exchange that the producer sends to. */
  readonly target: string;
  /** Sends that are not settled. */
  readonly pending: number;
  /** Messages that are published but not confirmed. */
  readonly inFlight: number;
}

/** Combines the parts into one snapshot. */
export function healthOf(
  observed: readonly { readonly role: Role; readonly state: ConnectionState }[],
  consumers: readonly ConsumerHealth[],
  producers: readonly ProducerHealth[],
  relays: readonly RelayHealth[],
): BrokerHealth {
  const connections = observed.filter(({ state }) => state.status !== 'idle').map(connectionHealth);
  const isUp =
    connections.every(({ status, blocked }) => status === 'open' && blocked === undefined) &&
    consumers.every(
      ({ state, error }) =>
        error === undefined && (state === 'running' || state === 'paused' || state === 'idle'),
    ) &&
    relays.every(isWell);
  const isOpen = connections.some(({ status }) => status === 'open');
  return { status: isOpen ? (isUp ? 'up' : 'degraded') : 'down', connections, consumers, producers, relays };
}

/** A row that waits longer is waiting for more than its turn. */
const LONG_WAIT_MS = 60_000;

function isWell({ state, error, oldestMs, stuck }: RelayHealth): boolean {
  const isAtWork = state !== 'failed' && state !== 'waiting' && error === undefined;
  return isAtWork && oldestMs < LONG_WAIT_MS && stuck === 0;
}

function connectionHealth({
  role,
  state,
}: {
  readonly role: Role;
  readonly state: ConnectionState;
}): ConnectionHealth {
  return {
    role,
    status: state.status,
    address: state.status === 'open' ? state.address : undefined,
    blocked: state.status === 'open' ? state.blocked : undefined,
    error: 'error' in state ? state.error?.message : undefined,
  };
}
