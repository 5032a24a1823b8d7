import { describe, expect, it } from 'vitest';
import {
  type ConsumerEvent,
  type ConsumerState,
  isPaused,
  transition,
} from '../../../src/consumer/consumer-state.js';
import { itFollows } from '../support/state-table.js';

const before = new Error('before');
const error = new Error('channel lost');

/** Every state, with and without the details that it may have. */
const states = {
  starting: { status: 'starting', paused: false },
  'starting paused': { status: 'starting', paused: true },
  'starting again': { status: 'starting', paused: false, error: before },
  running: { status: 'running' },
  paused: { status: 'paused' },
  recovering: { status: 'recovering', paused: false, error: before },
  'recovering paused': { status: 'recovering', paused: true, error: before },
  idle: { status: 'idle' },
  closing: { status: 'closing' },
  closed: { status: 'closed' },
  'closed by an error': { status: 'closed', error: before },
} satisfies Record<string, ConsumerState>;

const events = {
  opened: { type: 'opened' },
  lost: { type: 'lost', error },
  pause: { type: 'pause' },
  resume: { type: 'resume' },
  detach: { type: 'detach' },
  attach: { type: 'attach' },
  close: { type: 'close' },
  closed: { type: 'closed' },
  'closed with an error': { type: 'closed', error },
} satisfies Record<string, ConsumerEvent>;

type Row = Partial<Record<keyof typeof events, ConsumerState>>;

const finishes: Row = { closed: { status: 'closed' }, 'closed with an error': { status: 'closed', error } };
const ends: Row = { ...finishes, close: { status: 'closing' } };
const detaches: Row = { detach: { status: 'idle' } };

/** The documented table. An event that a row leaves out changes nothing. */
const table: Record<keyof typeof states, Row> = {
  starting: {
    ...ends,
    ...detaches,
    opened: { status: 'running' },
    lost: { status: 'starting', paused: false, error },
    pause: { status: 'starting', paused: true },
  },
  'starting paused': {
    ...ends,
    ...detaches,
    opened: { status: 'paused' },
    lost: { status: 'starting', paused: true, error },
    resume: { status: 'starting', paused: false },
  },
  'starting again': {
    ...ends,
    ...detaches,
    opened: { status: 'running' },
    lost: { status: 'starting', paused: false, error },
    pause: { status: 'starting', paused: true, error: before },
  },
  running: {
    ...ends,
    ...detaches,
    lost: { status: 'recovering', paused: false, error },
    pause: { status: 'paused' },
  },
  paused: {
    ...ends,
    ...detaches,
    lost: { status: 'recovering', paused: true, error },
    resume: { status: 'running' },
  },
  recovering: {
    ...ends,
    ...detaches,
    opened: { status: 'running' },
    lost: { status: 'recovering', paused: false, error },
    pause: { status: 'recovering', paused: true, error: before },
  },
  'recovering paused': {
    ...ends,
    ...detaches,
    opened: { status: 'paused' },
    lost: { status: 'recovering', paused: true, error },
    resume: { status: 'recovering', paused: false, error: before },
  },
  idle: { ...ends, attach: { status: 'starting', paused: false } },
  closing: finishes,
  closed: {},
  'closed by an error': {},
};

describe('the state of a consumer', () => {
  itFollows<ConsumerState, ConsumerEvent, keyof typeof states, keyof typeof events>(
    transition,
    states,
    events,
    table,
  );

  it('is paused also while it starts or recovers paused', () => {
    const paused = Object.entries(states).flatMap(([name, state]) => (isPaused(state) ? [name] : []));

    expect(paused).toEqual(['starting paused', 'paused', 'recovering paused']);
  });
});
