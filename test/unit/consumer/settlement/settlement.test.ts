import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { DuplicateFilter } from '../../../../src/consumer/delivery/duplicate-filter.js';
import type { ReceivedMessage } from '../../../../src/consumer/delivery/message.js';
import { Settlement } from '../../../../src/consumer/settlement/settlement.js';
import { DeadLetter } from '../../../../src/consumer/thrown-verdicts.js';
import { queue } from '../../../../src/contracts/queue.js';
import { TopologyError } from '../../../../src/errors.js';
import { Events } from '../../../../src/event-emitter.js';
import { type BrokerEvents, silentLogger } from '../../../../src/events.js';
import type { Republisher } from '../../../../src/producer/republisher.js';
import { type Deferred, deferred } from '../../../../src/util/promises.js';
import { FakeSession, received } from '../../support/deliveries.js';
import { FakeClock, turn } from '../../support/fake-clock.js';
import { track } from '../../support/track.js';

const retry = { initialDelayMs: 100, jitter: false, attempts: 3 };
const counting = queue('emails', z.any(), { retry });
const classic = queue('emails', z.any(), { type: 'classic', retry });
const exclusive = queue('emails', z.any(), { type: 'classic', exclusive: true, durable: false, retry });

let clock: FakeClock;
let duplicates: DuplicateFilter;
let session: FakeSession;
/** The published copies, for another attempt and for the dead-letter queue. The test confirms or rejects them. */
let retries: { tag: number; dueAt: number | undefined; done: Deferred<void> }[];
let deadLetters: { tag: number; error: unknown; done: Deferred<void> }[];
let events: BrokerEvents['dead-lettered'][];
let outcomes: string[];

beforeEach(() => {
  clock = new FakeClock();
  duplicates = new DuplicateFilter({ capacity: 10, windowMs: 30_000, clock });
  session = new FakeSession();
  retries = [];
  deadLetters = [];
  events = [];
  outcomes = [];
});

function settlementOf(contract = counting, { noAck = false } = {}): Settlement {
  const republisher: Pick<Republisher, 'retry' | 'deadLetter'> = {
    retry: ({ delivery }, _, dueAt) => {
      const done = deferred<void>();
      retries.push({ tag: delivery.deliveryTag, dueAt, done });
      return done.promise;
    },
    deadLetter: ({ delivery }, _, error) => {
      const done = deferred<void>();
      deadLetters.push({ tag: delivery.deliveryTag, error, done });
      return done.promise;
    },
  };
  const told = new Events(silentLogger);
  told.on('dead-lettered', (event) => events.push(event));
  const onOutcome = (_: unknown, message: ReceivedMessage, outcome: string) =>
    outcomes.push(`${outcome} ${message.delivery.deliveryTag}`);
  return new Settlement({
    contract,
    noAck,
    duplicates,
    republisher: republisher as Republisher,
    events: told,
    clock,
    onOutcome,
  });
}

function message(settler: Settlement, deliveryTag = 1, overrides = {}): ReceivedMessage {
  const properties = { messageId: `m${deliveryTag}` };
  return received({ deliveryTag, properties, ...overrides }, { session, settler });
}

const failure = { kind: 'retry', error: new Error('boom') } as const;

describe('a message that is done', () => {
  it('is acknowledged and counted', () => {
    const settlement = settlementOf();

    expect(message(settlement).ack()).toBe(true);
    expect({ log: session.log, acked: settlement.counts.acked, outcomes }).toEqual({
      log: ['ack 1'],
      acked: 1,
      outcomes: ['acked 1'],
    });
  });

  it('is remembered, in case that its acknowledgement is lost', () => {
    const one = message(settlementOf());
    one.ack();
    duplicates.channelLost([]);
    duplicates.channelOpened();

    expect(duplicates.recognises({ ...one.delivery, redelivered: true })).toBe(true);
  });

  it('is remembered also when its delivery was lost before', () => {
    const settlement = settlementOf();
    const one = message(settlement);
    session.isLive = false;
    duplicates.channelLost([]);
    const answer = one.ack();

    expect({ answer, counts: settlement.counts, outcomes }).toMatchObject({
      answer: false,
      counts: { acked: 0, stale: 1 },
      outcomes: [],
    });
    expect(duplicates.recognises({ ...one.delivery, redelivered: true })).toBe(true);
  });

  it('is not remembered where nothing comes back', () => {
    const one = message(settlementOf(counting, { noAck: true }));
    one.ack();
    duplicates.channelLost([]);

    expect(duplicates.recognises({ ...one.delivery, redelivered: true })).toBe(false);
  });
});

describe('a message that is given back', () => {
  it('is given back unseen by requeue, and as a failed attempt by a loop that was left', () => {
    const settlement = settlementOf();
    message(settlement, 1).requeue();
    message(settlement, 2).settle({ kind: 'reject' });

    expect(session.log).toEqual(['unseen 1', 'failed 2']);
    expect({ requeued: settlement.counts.requeued, outcomes }).toEqual({
      requeued: 2,
      outcomes: ['requeued 1', 'requeued 2'],
    });
  });

  it.each(['requeue', 'retry', 'deadLetter'] as const)(
    'by %s does nothing when its delivery is lost',
    async (verdict) => {
      const settlement = settlementOf();
      const one = message(settlement);
      session.isLive = false;
      const answer = one[verdict]();
      await clock.pass(10_000);

      expect({ answer, log: session.log, retries, deadLetters, outcomes }).toEqual({
        answer: false,
        log: [],
        retries: [],
        deadLetters: [],
        outcomes: [],
      });
      expect(settlement.counts).toEqual({ acked: 0, retried: 0, deadLettered: 0, requeued: 0, stale: 1 });
    },
  );
});

describe('a message that failed', () => {
  it.each([
    ['a quorum queue', counting],
    ['a classic queue', classic],
    ['a queue that others declare', queue('emails', z.any(), { retry, declare: false })],
    [
      'a queue that allows fewer returns than attempts',
      queue('emails', z.any(), { retry, deliveryLimit: 2 }),
    ],
  ])('is copied with its delay in %s, and acknowledged once that is confirmed', async (_, contract) => {
    const settlement = settlementOf(contract);
    message(settlement).settle(failure);
    await turn();
    const before = {
      retries: retries.map(({ tag, dueAt }) => ({ tag, dueAt })),
      log: [...session.log],
    };
    retries[0]?.done.resolve();
    await turn();

    expect(before).toEqual({ retries: [{ tag: 1, dueAt: clock.now() + 100 }], log: [] });
    expect({ log: session.log, retried: settlement.counts.retried, outcomes }).toEqual({
      log: ['ack 1'],
      retried: 1,
      outcomes: ['retried 1'],
    });
  });

  it('is delayed as long as the verdict asks for', () => {
    message(settlementOf()).retry({ delayMs: 5_000 });

    expect(retries).toMatchObject([{ dueAt: clock.now() + 5_000 }]);
  });

  it('is copied without a delay where there is none', () => {
    message(settlementOf()).retry({ delayMs: 0 });

    expect({ dueAt: retries.map(({ dueAt }) => dueAt), armed: clock.armed }).toEqual({
      dueAt: [undefined],
      armed: 0,
    });
  });

  it('is not remembered as done by the acknowledgement of its copy, and nor is its copy', async () => {
    const one = message(settlementOf());
    const { delivery } = one;
    const again = (headers: object) =>
      duplicates.recognises({
        ...delivery,
        properties: { ...delivery.properties, headers },
        redelivered: true,
      });
    one.settle(failure);
    retries[0]?.done.resolve();
    await turn();
    duplicates.channelLost([]);

    expect({ copy: again({ 'leveret-attempt': 2 }), original: again({}) }).toEqual({
      copy: false,
      original: false,
    });
  });

  const rests: [string, number, number][] = [
    ['its delay is over, when that is longer than a second', 5_000, 5_000],
    ['a second, when its delay is shorter: it must not spin', 100, 1_000],
    ['20 minutes, when its delay is longer than a server waits', 10 * 3_600_000, 20 * 60_000],
  ];

  it.each(rests)('goes back after %s, when its copy could not be published', async (_, delayMs, restMs) => {
    message(settlementOf()).retry({ delayMs });
    retries[0]?.done.reject(new Error('no connection'));
    await clock.pass(restMs - 1);
    const before = [...session.log];
    await clock.pass(1);

    expect({ before, log: session.log }).toEqual({ before: [], log: ['failed 1'] });
  });

  it.each(rests)('is copied after %s, when the server refuses to delay it', async (_, delayMs, restMs) => {
    message(settlementOf()).retry({ delayMs });
    retries[0]?.done.reject(new TopologyError('ACCESS_REFUSED', 'leveret.delay', 'not allowed'));
    await clock.pass(restMs - 1);
    const before = retries.length;
    await clock.pass(1);
    retries[1]?.done.resolve();
    await turn();

    expect({ before, dueAt: retries[1]?.dueAt, log: session.log }).toEqual({
      before: 1,
      dueAt: undefined,
      log: ['ack 1'],
    });
  });

  it('rests in the process, and is then copied, in a queue that belongs to one connection', async () => {
    message(settlementOf(exclusive)).settle(failure);
    await clock.pass(99);
    const before = retries.length;
    await clock.pass(1);
    retries[0]?.done.resolve();
    await turn();

    expect({ before, dueAt: retries.map(({ dueAt }) => dueAt), log: session.log }).toEqual({
      before: 0,
      dueAt: [undefined],
      log: ['ack 1'],
    });
  });

  it('is forgotten when its delivery is lost while it rests: the server delivers it again', async () => {
    const settlement = settlementOf(exclusive);
    message(settlement, 1).settle(failure);
    const other = new FakeSession();
    const kept = received({ deliveryTag: 2 }, { session: other, settler: settlement });
    kept.settle(failure);
    settlement.sessionLost(session.asSession);
    const { armed } = clock;
    await clock.pass(1_000);

    expect({ armed, tags: retries.map(({ tag }) => tag) }).toEqual({ armed: 1, tags: [2] });
  });

  it('is only forgotten where the server has forgotten it', async () => {
    message(settlementOf(counting, { noAck: true })).settle(failure);
    await clock.pass(10_000);

    expect({ log: session.log, retries, deadLetters, armed: clock.armed }).toEqual({
      log: [],
      retries: [],
      deadLetters: [],
      armed: 0,
    });
  });
});

describe('a message that is hopeless', () => {
  it.each([
    [
      'the last attempt failed',
      failure,
      { properties: { messageId: 'm1', headers: { 'leveret-attempt': 3 } } },
    ],
    ['the handler gave up on it', { kind: 'retry', error: new DeadLetter('hopeless') } as const, {}],
    ['it was invalid', { kind: 'dead-letter', error: new Error('invalid') } as const, {}],
  ])(
    'is copied to the dead-letter queue when %s, and acknowledged once that is confirmed',
    async (_, verdict, overrides) => {
      const settlement = settlementOf();
      message(settlement, 1, overrides).settle(verdict);
      const before = {
        deadLetters: deadLetters.map(({ tag, error }) => ({ tag, error })),
        log: [...session.log],
        events: [...events],
      };
      deadLetters[0]?.done.resolve();
      await turn();

      expect(before).toEqual({
        deadLetters: [{ tag: 1, error: verdict.error }],
        log: [],
        events: [],
      });
      expect({ log: session.log, deadLettered: settlement.counts.deadLettered }).toEqual({
        log: ['ack 1'],
        deadLettered: 1,
      });
      expect(events).toMatchObject([
        { queue: 'emails', deadLetterQueue: 'emails.dead', messageId: 'm1', error: verdict.error },
      ]);
      expect(outcomes).toEqual(['dead-lettered 1']);
    },
  );

  it('is dropped, to wherever the server sends it, without a dead-letter queue', () => {
    const settlement = settlementOf(queue('emails', z.any(), { deadLetter: false }));
    message(settlement).deadLetter();

    expect({ log: session.log, deadLetters, deadLettered: settlement.counts.deadLettered }).toEqual({
      log: ['drop 1'],
      deadLetters: [],
      deadLettered: 1,
    });
  });

  it('is kept when its dead letter could not be published, and placed again after growing pauses', async () => {
    const settlement = settlementOf();
    message(settlement).deadLetter('hopeless');
    deadLetters[0]?.done.reject(new Error('no connection'));
    await turn();
    const told = { obstacle: settlement.obstacle, deadLettered: settlement.counts.deadLettered };
    await clock.pass(1_000);
    deadLetters[1]?.done.reject(new Error('no connection'));
    await turn();
    await clock.pass(1_999);
    const early = deadLetters.length;
    await clock.pass(1);
    deadLetters[2]?.done.resolve();
    await turn();

    expect(told).toEqual({ obstacle: 'no connection', deadLettered: 0 });
    expect({ early, placed: deadLetters.length, log: session.log }).toEqual({
      early: 2,
      placed: 3,
      log: ['ack 1'],
    });
    expect({ obstacle: settlement.obstacle, deadLettered: settlement.counts.deadLettered }).toEqual({
      obstacle: undefined,
      deadLettered: 1,
    });
    expect(deadLetters[2]?.error).toMatchObject({ name: 'DeadLetter' });
  });

  it('counts as stale when its delivery was lost while its dead letter was published', async () => {
    const settlement = settlementOf();
    message(settlement).deadLetter('hopeless');
    session.isLive = false;
    deadLetters[0]?.done.resolve();
    await turn();

    expect(settlement.counts).toMatchObject({ deadLettered: 1, stale: 1, acked: 0 });
  });
});

describe('finishing', () => {
  it('lets nothing rest any longer', async () => {
    const settlement = settlementOf(exclusive);
    message(settlement, 1).settle(failure);
    const finishing = track(settlement.finish());
    message(settlement, 2).settle(failure);
    await turn();
    const before = retries.map(({ tag }) => tag);
    for (const { done } of retries) done.reject(new Error('no connection'));
    await turn();

    expect({ before, log: session.log, armed: clock.armed }).toEqual({
      before: [1, 2],
      log: ['failed 1', 'failed 2'],
      armed: 0,
    });
    expect(finishing.state).toBe('resolved');
  });

  it('waits until every copy is confirmed or given up, also those made meanwhile', async () => {
    const settlement = settlementOf();
    message(settlement, 1).settle(failure);
    const finishing = track(settlement.finish());
    await turn();
    retries[0]?.done.resolve();
    message(settlement, 2).deadLetter();
    await turn();
    const before = finishing.state;
    deadLetters[0]?.done.reject(new Error('no connection'));
    await turn();

    expect({ before, state: finishing.state, log: session.log }).toEqual({
      before: 'pending',
      state: 'resolved',
      log: ['ack 1', 'failed 2'],
    });
  });

  it('ends the rest of what rests now, and only that, when it is left for a while', async () => {
    const settlement = settlementOf(exclusive);
    message(settlement, 1).settle(failure);
    const settled = track(settlement.settled());
    await turn();
    retries[0]?.done.resolve();
    await turn();
    message(settlement, 2).settle(failure);

    expect({ state: settled.state, log: session.log, armed: clock.armed, copied: retries.length }).toEqual({
      state: 'resolved',
      log: ['ack 1'],
      armed: 1,
      copied: 1,
    });
  });
});
