/**
 * The state of a relay, and every way from one state to the next.
 *
 * | state    | found   | lost    | back    | fail   | close   | ended  |
 * |----------|---------|---------|---------|--------|---------|--------|
 * | starting | running |         |         | failed | closing |        |
 * | running  |         | waiting |         | failed | closing |        |
 * | waiting  |         |         | running | failed | closing |        |
 * | closing  |         |         |         |        |         | closed |
 * | closed   |         |         |         |        |         |        |
 * | failed   |         |         |         |        |         |        |
 *
 * An empty cell changes nothing. The table is `found` once. The database is `lost` and `back` any number of times.
 */
export type RelayState =
  | { readonly status: 'starting' | 'running' | 'waiting' | 'closing' | 'closed' }
  | { readonly status: 'failed'; readonly error: string };

export type RelayEvent =
  | { readonly type: 'found' | 'lost' | 'back' | 'close' | 'ended' }
  | { readonly type: 'fail'; readonly error: string };

/** The state after an event: the same object if the event changes nothing. */
export function transition(state: RelayState, event: RelayEvent): RelayState {
  const { status } = state;
  if (status === 'closed' || status === 'failed') return state;
  if (status === 'closing') return event.type === 'ended' ? { status: 'closed' } : state;
  switch (event.type) {
    case 'found':
      return status === 'starting' ? { status: 'running' } : state;
    case 'lost':
      return status === 'running' ? { status: 'waiting' } : state;
    case 'back':
      return status === 'waiting' ? { status: 'running' } : state;
    case 'fail':
      return { status: 'failed', error: event.error };
    case 'close':
      return { status: 'closing' };
    case 'ended':
      return state;
  }
}
