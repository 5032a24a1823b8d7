import { beforeEach, describe, expect, it } from 'vitest';
import { DirectReplyChannel } from '../../../../src/rpc/responder/direct-reply-channel.js';
import { type Deferred, deferred } from '../../../../src/util/promises.js';
import { FakeClock, turn } from '../../support/fake-clock.js';
import { FakeLink } from '../../support/fake-link.js';

type State = 'idle' | 'armed' | 'asking';

/** What the table says of each state: the state after these events, one after the other, and how many answers are confirmed. */
const table: Readonly<Record<State, Readonly<Record<string, readonly [next: State, confirmed: number]>>>> = {
  idle: {
    publish: ['armed', 0],
    'publish many': ['asking', 0],
    flush: ['idle', 0],
    'time is over': ['idle', 0],
    lost: ['idle', 0],
    closed: ['idle', 0],
  },
  armed: {
    publish: ['armed', 0],
    'publish many': ['asking', 0],
    flush: ['asking', 0],
    'time is over': ['asking', 0],
    lost: ['idle', 0],
    closed: ['idle', 0],
  },
  asking: {
    publish: ['asking', 0],
    'publish many': ['asking', 0],
    flush: ['asking', 0],
    'time is over': ['asking', 0],
    answered: ['idle', 1],
    'publish, answered': ['armed', 1],
    'publish many, answered': ['asking', 1],
    'publish, flush, answered': ['asking', 1],
    lost: ['idle', 0],
    closed: ['idle', 0],
  },
};

let clock: FakeClock;
let link: FakeLink;
let channel: DirectReplyChannel;
/** Questions that the server has not answered. */
let questions: Deferred<void>[];
let confirmed: number;

beforeEach(async () => {
  clock = new FakeClock();
  link = new FakeLink();
  questions = [];
  confirmed = 0;
  link.onRequest = (request) => {
    if (request !== 'prefetch 0') return undefined;
    const question = deferred<void>();
    questions.push(question);
    return question.promise;
  };
  channel = await DirectReplyChannel.open(link, clock, {
    confirms: true,
    onClosed: () => {},
    onConfirm: (tag) => {
      confirmed = tag;
    },
  });
});

function publish(): void {
  channel.publish({
    exchange: '',
    routingKey: 'r',
    mandatory: false,
    properties: {},
    content: Buffer.alloc(1),
  });
}

const does: Readonly<Record<string, () => unknown>> = {
  publish,
  'publish many': () => {
    for (let n = 0; n < 250; n++) publish();
  },
  flush: () => channel.flush(),
  'time is over': () => clock.pass(100),
  answered: () => questions.shift()?.resolve(),
  lost: () => link.die(),
  closed: () => channel.close(),
};

async function happen(events: string): Promise<void> {
  for (const event of events.split(', ')) {
    await does[event]?.();
    await turn();
  }
}

function stateNow(): State {
  if (questions.length > 0 && channel.isOpen) return 'asking';
  return clock.armed > 0 ? 'armed' : 'idle';
}

const way: Readonly<Record<State, string>> = { idle: '', armed: 'publish', asking: 'publish, flush' };

const cells = Object.entries(table).flatMap(([from, row]) =>
  Object.entries(row).map(([events, [next, count]]) => ({ from: from as State, events, next, count })),
);

describe('the state of an answer channel', () => {
  it.each(cells)('goes from $from on $events to $next', async ({ from, events, next, count }) => {
    await happen(way[from]);
    const before = stateNow();
    await happen(events);

    expect({ before, next: stateNow(), armed: clock.armed, confirmed }).toEqual({
      before: from,
      next,
      armed: next === 'armed' ? 1 : 0,
      confirmed: count,
    });
  });
});
