import type { ConsumerState } from '../consumer/consumer-state.js';
import type { RelayHealth } from '../outbox/relay.js';
import type { ConnectionState } from '../transport/connection/connection-state.js';
import type { Role } from '../transport/port.js';

/** How a broker is, for a liveness endpoint. */
export interface BrokerHealth {
  /** `degraded`: something waits or recovers, or a consumer could not go on. `down`: there is no connection. */
  readonly status: 'up' | 'degraded' | 'down';
  readonly connections: readonly ConnectionHealth[];
  /**
   * Also those that ended with an error, as `closed`, until another consumer of the queue, or of the same private subscription,
   * takes their place.
   */
  readonly consumers: readonly ConsumerHealth[];
  readonly producers: readonly ProducerHealth[];
  /** Relays that are open, and those that could not go on. */
  readonly relays: readonly RelayHealth[];
}

/** How one connection is. */
export interface ConnectionHealth {
  readonly role: Role;
  readonly status: ConnectionState['status'];
  /** The server it is connected to. */
  readonly address: string | undefined;
  /** The reason of the server's alarm, while there is one. */
  readonly blocked: string | undefined;
  /** Why it is not open. */
  readonly error: string | undefined;
}

/** How one consumer is. */
export interface ConsumerHealth {
  readonly queue: string;
  readonly state: ConsumerState['status'];
  readonly lastDeliveryAt: Date | undefined;
  /** Why no message can be handled now; never with a password. */
  readonly error: string | undefined;
  /** Messages whose handler, or loop body, is at work. */
  readonly inFlight: number;
}

/** How one producer is. */
export interface ProducerHealth {
  /** The queue or exchange that it sends to. */
  readonly target: string;
  /** Sends that are not settled. */
  readonly pending: number;
  /** Messages that are published and not confirmed. */
  readonly inFlight: number;
}

/** Puts the parts together. */
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

/** A row that waits longer waits for something else than its turn. */
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
