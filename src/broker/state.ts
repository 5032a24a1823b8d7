import type { ConnectionState } from '../transport/connection/connection-state.js';

/** What a broker is doing, derived from both of its connections. */
export type BrokerState =
  | { readonly status: 'idle' }
  | { readonly status: 'connecting'; readonly attempt: number; readonly error?: Error }
  | { readonly status: 'connected'; readonly address: string }
  /** Connected, and the server has raised an alarm: sends wait, consumers go on. */
  | { readonly status: 'blocked'; readonly reason: string }
  | { readonly status: 'reconnecting'; readonly error: Error }
  | { readonly status: 'closing' }
  | { readonly status: 'closed' };

/** A connection's state, and whether it has been open before. */
export interface ObservedConnection {
  readonly state: ConnectionState;
  readonly hasBeenOpen: boolean;
}

/** True while a connection that was once open is not. A connection that opens for the first time is not an outage. */
export function isDown({ state, hasBeenOpen }: ObservedConnection): boolean {
  return hasBeenOpen && state.status !== 'open';
}

/** The state of the broker as a whole. The connection in the worse state decides. */
export function summarise(
  connections: readonly ObservedConnection[],
  life: 'open' | 'closing' | 'closed',
): BrokerState {
  if (life !== 'open') return { status: life };
  const down = connections.find(isDown);
  if (down)
    return { status: 'reconnecting', error: errorOf(down.state) ?? new Error('the connection was lost') };
  const open = connections.flatMap(({ state }) => (state.status === 'open' ? [state] : []));
  const blocked = open.find((state) => state.blocked !== undefined);
  if (blocked?.blocked !== undefined) return { status: 'blocked', reason: blocked.blocked };
  if (open[0]) return { status: 'connected', address: open[0].address };
  const trying = connections.find(({ state }) => state.status === 'connecting' || state.status === 'waiting');
  if (!trying) return { status: 'idle' };
  const error = errorOf(trying.state);
  const attempt = 'attempt' in trying.state ? trying.state.attempt : 1;
  return error ? { status: 'connecting', attempt, error } : { status: 'connecting', attempt };
}

function errorOf(state: ConnectionState): Error | undefined {
  return 'error' in state ? state.error : undefined;
}
