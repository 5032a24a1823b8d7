import { describe } from 'vitest';
import { ConnectionError } from '../../../../src/errors.js';
import {
  type ConnectionEvent,
  type ConnectionState,
  transition,
} from '../../../../src/transport/connection/connection-state.js';
import { itFollows } from '../../support/state-table.js';

const before = new Error('before');
const failure = new Error('refused');
const final = new ConnectionError('ACCESS_REFUSED', 'wrong password');

/** Every state, with and without the details that it may have. */
const states = {
  idle: { status: 'idle' },
  'idle after giving up': { status: 'idle', error: final },
  connecting: { status: 'connecting', attempt: 3 },
  'connecting again': { status: 'connecting', attempt: 3, error: before },
  open: { status: 'open', address: 'a' },
  'open and blocked': { status: 'open', address: 'a', blocked: 'memory' },
  waiting: { status: 'waiting', attempt: 3, delayMs: 50, error: before },
  closing: { status: 'closing' },
  closed: { status: 'closed' },
} satisfies Record<string, ConnectionState>;

const events = {
  dial: { type: 'dial' },
  opened: { type: 'opened', address: 'b' },
  failed: { type: 'failed', error: failure, delayMs: 70 },
  lost: { type: 'lost', error: failure, delayMs: 90 },
  'gave-up': { type: 'gave-up', error: final },
  blocked: { type: 'blocked', reason: 'disk' },
  unblocked: { type: 'unblocked' },
  close: { type: 'close' },
  closed: { type: 'closed' },
} satisfies { [T in ConnectionEvent['type']]: ConnectionEvent & { type: T } };

type Row = Partial<Record<keyof typeof events, ConnectionState>>;

const ends: Row = { close: { status: 'closing' }, closed: { status: 'closed' } };
const connects: Row = {
  opened: { status: 'open', address: 'b' },
  failed: { status: 'waiting', attempt: 3, delayMs: 70, error: failure },
  'gave-up': { status: 'idle', error: final },
};
const lives: Row = {
  lost: { status: 'waiting', attempt: 0, delayMs: 90, error: failure },
  blocked: { status: 'open', address: 'a', blocked: 'disk' },
};

/** The documented table. An event that a row leaves out changes nothing. */
const table: Record<keyof typeof states, Row> = {
  idle: { ...ends, dial: { status: 'connecting', attempt: 1 } },
  'idle after giving up': { ...ends, dial: { status: 'connecting', attempt: 1 } },
  connecting: { ...ends, ...connects },
  'connecting again': { ...ends, ...connects },
  open: { ...ends, ...lives },
  'open and blocked': { ...ends, ...lives, unblocked: { status: 'open', address: 'a' } },
  waiting: {
    ...ends,
    dial: { status: 'connecting', attempt: 4, error: before },
    'gave-up': { status: 'idle', error: final },
  },
  closing: { closed: { status: 'closed' } },
  closed: {},
};

describe('the state of a connection', () => {
  itFollows<ConnectionState, ConnectionEvent, keyof typeof states, keyof typeof events>(
    transition,
    states,
    events,
    table,
  );
});
