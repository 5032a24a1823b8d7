import { describe } from 'vitest';
import { type RelayEvent, type RelayState, transition } from '../../../src/outbox/relay-state.js';
import { itFollows } from '../support/state-table.js';

const states = {
  starting: { status: 'starting' },
  running: { status: 'running' },
  waiting: { status: 'waiting' },
  closing: { status: 'closing' },
  closed: { status: 'closed' },
  failed: { status: 'failed', error: 'there is no such table' },
} satisfies Record<RelayState['status'], RelayState>;

const events = {
  found: { type: 'found' },
  lost: { type: 'lost' },
  back: { type: 'back' },
  fail: { type: 'fail', error: 'there is no such table' },
  close: { type: 'close' },
  ended: { type: 'ended' },
} satisfies Record<RelayEvent['type'], RelayEvent>;

const { running, waiting, closing, closed, failed } = states;

describe('the state of a relay', () => {
  itFollows<RelayState, RelayEvent, keyof typeof states, keyof typeof events>(transition, states, events, {
    starting: { found: running, fail: failed, close: closing },
    running: { lost: waiting, fail: failed, close: closing },
    waiting: { back: running, fail: failed, close: closing },
    closing: { ended: closed },
    closed: {},
    failed: {},
  });
});
