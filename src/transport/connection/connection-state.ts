import type { ConnectionError } from '../../errors.js';

/**
 * The state of one of a broker's connections, and every way from one state to the next.
 *
 * | state      | dial       | opened | failed  | lost    | gave-up | blocked / unblocked | close   | closed |
 * |------------|------------|--------|---------|---------|---------|---------------------|---------|--------|
 * | idle       | connecting |        |         |         |         |                     | closing | closed |
 * | connecting |            | open   | waiting |         | idle    |                     | closing | closed |
 * | open       |            |        |         | waiting |         | open                | closing | closed |
 * | waiting    | connecting |        |         |         | idle    |                     | closing | closed |
 * | closing    |            |        |         |         |         |                     |         | closed |
 * | closed     |            |        |         |         |         |                     |         |        |
 *
 * An empty cell changes nothing.
 */
export type ConnectionState =
  | { readonly status: 'idle'; readonly error?: ConnectionError }
  | { readonly status: 'connecting'; readonly attempt: number; readonly error?: Error }
  | { readonly status: 'open'; readonly address: string; readonly blocked?: string }
  | { readonly status: 'waiting'; readonly attempt: number; readonly delayMs: number; readonly error: Error }
  | { readonly status: 'closing' }
  | { readonly status: 'closed' };

export type ConnectionEvent =
  | { readonly type: 'dial' }
  | { readonly type: 'opened'; readonly address: string }
  | { readonly type: 'failed'; readonly error: Error; readonly delayMs: number }
  | { readonly type: 'lost'; readonly error: Error; readonly delayMs: number }
  | { readonly type: 'gave-up'; readonly error: ConnectionError }
  | { readonly type: 'blocked'; readonly reason: string }
  | { readonly type: 'unblocked' }
  | { readonly type: 'close' }
  | { readonly type: 'closed' };

/** The state after an event: the same object if the event changes nothing. */
export function transition(state: ConnectionState, event: ConnectionEvent): ConnectionState {
  if (state.status === 'closed') return state;
  if (event.type === 'closed') return { status: 'closed' };
  if (state.status === 'closing') return state;
  if (event.type === 'close') return { status: 'closing' };
  switch (state.status) {
    case 'idle':
      return event.type === 'dial' ? { status: 'connecting', attempt: 1 } : state;
    case 'connecting':
      switch (event.type) {
        case 'opened':
          return { status: 'open', address: event.address };
        case 'failed':
          return { status: 'waiting', attempt: state.attempt, delayMs: event.delayMs, error: event.error };
        case 'gave-up':
          return { status: 'idle', error: event.error };
        default:
          return state;
      }
    case 'open':
      switch (event.type) {
        case 'lost':
          return { status: 'waiting', attempt: 0, delayMs: event.delayMs, error: event.error };
        case 'blocked':
          return { status: 'open', address: state.address, blocked: event.reason };
        case 'unblocked':
          return state.blocked === undefined ? state : { status: 'open', address: state.address };
        default:
          return state;
      }
    case 'waiting':
      switch (event.type) {
        case 'dial':
          return { status: 'connecting', attempt: state.attempt + 1, error: state.error };
        case 'gave-up':
          return { status: 'idle', error: event.error };
        default:
          return state;
      }
  }
}
