import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { AckSchedule } from '../../../../src/consumer/session/ack-schedule.js';
import { FakeClock } from '../../support/fake-clock.js';

const DELAY_MS = 5;

/** A schedule that counts its writes, in one of its states. */
const states = {
  idle: () => {},
  delayed: (schedule: AckSchedule) => schedule.request(true),
  'this turn': (schedule: AckSchedule) => schedule.request(false),
  stopped: (schedule: AckSchedule) => schedule.stop(),
} as const;

const events = {
  'a request that may wait': (schedule: AckSchedule) => schedule.request(true),
  'a request': (schedule: AckSchedule) => schedule.request(false),
  'a flush': (schedule: AckSchedule) => schedule.flush(),
  'a flush of what is delayed': (schedule: AckSchedule) => schedule.flushDelayed(),
  'a stop': (schedule: AckSchedule) => schedule.stop(),
} as const;

type Writes = readonly [atOnce: number, inThisTurn: number, afterTheDelay: number];

/** How many writes there were by then. */
const table: Readonly<Record<keyof typeof states, Readonly<Record<keyof typeof events, Writes>>>> = {
  idle: {
    'a request that may wait': [0, 0, 1],
    'a request': [0, 1, 1],
    'a flush': [1, 1, 1],
    'a flush of what is delayed': [0, 0, 0],
    'a stop': [0, 0, 0],
  },
  delayed: {
    'a request that may wait': [0, 0, 1],
    'a request': [0, 1, 1],
    'a flush': [1, 1, 1],
    'a flush of what is delayed': [1, 1, 1],
    'a stop': [0, 0, 0],
  },
  'this turn': {
    'a request that may wait': [0, 1, 1],
    'a request': [0, 1, 1],
    // The end of the turn finds nothing left to write.
    'a flush': [1, 2, 2],
    'a flush of what is delayed': [0, 1, 1],
    'a stop': [0, 0, 0],
  },
  stopped: {
    'a request that may wait': [0, 0, 0],
    'a request': [0, 0, 0],
    'a flush': [0, 0, 0],
    'a flush of what is delayed': [0, 0, 0],
    'a stop': [0, 0, 0],
  },
};

const cells = Object.entries(table).flatMap(([state, row]) =>
  Object.entries(row).map(([event, writes]) => ({
    state: state as keyof typeof states,
    event: event as keyof typeof events,
    writes,
  })),
);

describe('the schedule of acknowledgements', () => {
  it.each(cells)('$state, after $event, writes $writes', async ({ state, event, writes }) => {
    const clock = new FakeClock();
    let count = 0;
    const schedule = new AckSchedule({ clock, ms: DELAY_MS }, () => ++count > 0);
    states[state](schedule);
    events[event](schedule);
    const atOnce = count;
    await nextTurn();
    const inThisTurn = count;
    await clock.pass(DELAY_MS);

    expect([atOnce, inThisTurn, count]).toEqual(writes);
  });

  it('without a delay lets no request wait', async () => {
    let count = 0;
    const schedule = new AckSchedule(undefined, () => ++count > 0);
    schedule.request(true);
    await nextTurn();

    expect(count).toBe(1);
  });
});
