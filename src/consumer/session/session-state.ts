/**
 * The state of a session, and every way from one state to the next.
 *
 * | state     | resume    | pause  | leave   | stay      | close           | lost  |
 * |-----------|-----------|--------|---------|-----------|-----------------|-------|
 * | paused    | consuming |        | leaving |           | ended           | ended |
 * | consuming |           | paused | leaving |           | ended           | ended |
 * | leaving   |           |        |         | consuming | ended (it left) | ended |
 * | ended     |           |        |         |           |                 |       |
 *
 * An empty cell changes nothing. A session that leaves still consumes, but sends only acknowledgements.
 */
export type SessionState =
  | { readonly status: 'paused' }
  | { readonly status: 'consuming' }
  | {
      readonly status: 'leaving';
      /** By delivery tag, how each message would be requeued. Discarded with the channel, or carried out if the session stays. */
      readonly leftBehind: Map<number, () => void>;
    }
  | {
      readonly status: 'ended';
      /** The session was closed while it was leaving: nothing was lost. */
      readonly hasLeft: boolean;
    };

export type SessionEvent = 'resume' | 'pause' | 'leave' | 'stay' | 'close' | 'lost';

/** The state after an event: the same object if the event changes nothing. */
export function transition(state: SessionState, event: SessionEvent): SessionState {
  if (state.status === 'ended') return state;
  const isLeaving = state.status === 'leaving';
  switch (event) {
    case 'resume':
      return state.status === 'paused' ? { status: 'consuming' } : state;
    case 'pause':
      return state.status === 'consuming' ? { status: 'paused' } : state;
    case 'leave':
      return isLeaving ? state : { status: 'leaving', leftBehind: new Map() };
    case 'stay':
      return isLeaving ? { status: 'consuming' } : state;
    case 'close':
      return { status: 'ended', hasLeft: isLeaving };
    case 'lost':
      return { status: 'ended', hasLeft: false };
  }
}
