import { describe, expect, it } from 'vitest';
import {
  type SessionEvent,
  type SessionState,
  transition,
} from '../../../../src/consumer/session/session-state.js';
import { itFollows } from '../../support/state-table.js';

const states = {
  paused: { status: 'paused' },
  consuming: { status: 'consuming' },
  leaving: { status: 'leaving', leftBehind: new Map() },
  ended: { status: 'ended', hasLeft: false },
  'ended after it left': { status: 'ended', hasLeft: true },
} satisfies Record<string, SessionState>;

const events = {
  resume: 'resume',
  pause: 'pause',
  leave: 'leave',
  stay: 'stay',
  close: 'close',
  lost: 'lost',
} satisfies Record<SessionEvent, SessionEvent>;

const { paused, consuming, leaving, ended, 'ended after it left': left } = states;

describe('the state of a session', () => {
  itFollows<SessionState, SessionEvent, keyof typeof states, keyof typeof events>(
    transition,
    states,
    events,
    {
      paused: { resume: consuming, leave: leaving, close: ended, lost: ended },
      consuming: { pause: paused, leave: leaving, close: ended, lost: ended },
      leaving: { stay: consuming, close: left, lost: ended },
      ended: {},
      'ended after it left': {},
    },
  );

  it('keeps what was left behind until it is decided', () => {
    const state = transition(consuming, 'leave');

    expect(transition(state, 'leave')).toBe(state);
  });
});
