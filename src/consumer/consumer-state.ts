/**
 * The state of a consumer, and every way from one state to the next.
 *
 * | state      | opened            | lost                | pause               | resume     | detach | attach   | close   | closed |
 * |------------|-------------------|---------------------|---------------------|------------|--------|----------|---------|--------|
 * | starting   | running or paused | starting            | starting (paused)   | starting   | idle   |          | closing | closed |
 * | running    |                   | recovering          | paused              |            | idle   |          | closing | closed |
 * | paused     |                   | recovering (paused) |                     | running    | idle   |          | closing | closed |
 * | recovering | running or paused | recovering          | recovering (paused) | recovering | idle   |          | closing | closed |
 * | idle       |                   |                     |                     |            |        | starting | closing | closed |
 * | closing    |                   |                     |                     |            |        |          |         | closed |
 * | closed     |                   |                     |                     |            |        |          |         |        |
 *
 * An empty cell changes nothing. A consumer is idle when its last `for await` loop was left: it holds nothing on the server
 * until another loop begins.
 */
export type ConsumerState =
  | { readonly status: 'starting'; readonly paused: boolean; readonly error?: Error }
  | { readonly status: 'running' }
  | { readonly status: 'paused' }
  | { readonly status: 'recovering'; readonly paused: boolean; readonly error: Error }
  | { readonly status: 'idle' }
  | { readonly status: 'closing' }
  | { readonly status: 'closed'; readonly error?: Error };

export type ConsumerEvent =
  | { readonly type: 'detach' }
  | { readonly type: 'attach' }
  | { readonly type: 'opened' }
  | { readonly type: 'lost'; readonly error: Error }
  | { readonly type: 'pause' }
  | { readonly type: 'resume' }
  | { readonly type: 'close' }
  | { readonly type: 'closed'; readonly error?: Error };

/** The state after an event: the same object if the event changes nothing. */
export function transition(state: ConsumerState, event: ConsumerEvent): ConsumerState {
  if (state.status === 'closed') return state;
  if (event.type === 'closed')
    return event.error ? { status: 'closed', error: event.error } : { status: 'closed' };
  if (state.status === 'closing') return state;
  if (event.type === 'close') return { status: 'closing' };
  if (state.status === 'idle') return event.type === 'attach' ? { status: 'starting', paused: false } : state;
  if (event.type === 'detach') return { status: 'idle' };
  if (event.type === 'attach') return state;
  switch (state.status) {
    case 'starting':
    case 'recovering':
      if (event.type === 'opened') return { status: state.paused ? 'paused' : 'running' };
      if (event.type === 'lost') return { ...state, error: event.error };
      return state.paused === (event.type === 'pause') ? state : { ...state, paused: event.type === 'pause' };
    case 'running':
      if (event.type === 'pause') return { status: 'paused' };
      return event.type === 'lost' ? { status: 'recovering', paused: false, error: event.error } : state;
    case 'paused':
      if (event.type === 'resume') return { status: 'running' };
      return event.type === 'lost' ? { status: 'recovering', paused: true, error: event.error } : state;
  }
}

/** True when nothing should be delivered, now or after recovery. */
export function isPaused(state: ConsumerState): boolean {
  return (
    state.status === 'paused' ||
    ((state.status === 'starting' || state.status === 'recovering') && state.paused)
  );
}
