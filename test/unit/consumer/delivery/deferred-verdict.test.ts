import { describe, expect, it } from 'vitest';
import { DeferredVerdict } from '../../../../src/consumer/delivery/deferred-verdict.js';

const error = new Error('boom');
const retry = { kind: 'retry', error } as const;
const requeue = { kind: 'requeue' } as const;
const reject = { kind: 'reject' } as const;

const events = {
  begin: (deferred: DeferredVerdict) => deferred.begin(),
  ack: (deferred: DeferredVerdict) => deferred.take({ kind: 'ack' }),
  other: (deferred: DeferredVerdict) => deferred.take(reject),
  failure: (deferred: DeferredVerdict) => deferred.fail(error),
};
type Event = keyof typeof events;

/** The events that lead to each state. */
const ways = {
  waiting: [],
  'given back': ['failure'],
  running: ['begin'],
  acknowledged: ['begin', 'ack'],
  decided: ['begin', 'other'],
} as const satisfies Readonly<Record<string, readonly Event[]>>;
type State = keyof typeof ways;

/** What is seen of a state after an event. */
const unbegun = { hasBegun: false, verdict: undefined };
const givenBack = { hasBegun: false, verdict: requeue };
const begun = { hasBegun: true, verdict: undefined };
const decided = (verdict: object) => ({ hasBegun: true, verdict });

const table: Readonly<Record<State, Readonly<Record<Event, object>>>> = {
  waiting: {
    begin: begun,
    ack: { isTaken: true, ...givenBack },
    other: { isTaken: true, ...givenBack },
    failure: { isTaken: true, ...givenBack },
  },
  'given back': {
    begin: decided(requeue),
    ack: { isTaken: false, ...givenBack },
    other: { isTaken: false, ...givenBack },
    failure: { isTaken: false, ...givenBack },
  },
  running: {
    begin: begun,
    ack: { isTaken: true, ...begun },
    other: { isTaken: true, ...decided(reject) },
    failure: { isTaken: true, ...decided(retry) },
  },
  acknowledged: {
    begin: begun,
    ack: { isTaken: false, ...begun },
    other: { isTaken: false, ...begun },
    failure: { isTaken: true, ...decided(retry) },
  },
  decided: {
    begin: decided(reject),
    ack: { isTaken: false, ...decided(reject) },
    other: { isTaken: false, ...decided(reject) },
    failure: { isTaken: false, ...decided(reject) },
  },
};

function afterEvents(names: readonly Event[]) {
  const deferred = new DeferredVerdict();
  const answers = names.map((name) => events[name](deferred));
  return { isTaken: answers.at(-1) ?? undefined, hasBegun: deferred.hasBegun, verdict: deferred.verdict };
}

const cells = Object.keys(ways).flatMap((state) =>
  Object.keys(events).map((event) => ({ state: state as State, event: event as Event })),
);

describe('a deferred verdict', () => {
  it('is none at first', () => {
    expect(afterEvents([])).toEqual(unbegun);
  });

  it.each(cells)('that is $state follows its table on $event', ({ state, event }) => {
    expect(afterEvents([...ways[state], event])).toEqual(table[state][event]);
  });

  it('counts once, also when its handler begins after the message was given back', () => {
    expect(afterEvents(['failure', 'begin', 'other'])).toEqual({ isTaken: false, ...decided(requeue) });
  });
});
