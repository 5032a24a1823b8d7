import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { DuplicateFilter } from '../../../../src/consumer/delivery/duplicate-filter.js';
import type { ReceivedMessage } from '../../../../src/consumer/delivery/message.js';
import { DeadLetter } from '../../../../src/consumer/settlement/retry-decision.js';
import { Settlement } from '../../../../src/consumer/settlement/settlement.js';
import { queue } from '../../../../src/contracts/queue.js';
import { type BrokerEvents, Events, silentLogger } from '../../../../src/events.js';
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
let memory: DuplicateFilter;
let session: FakeSession;
/** `third` is the error of a dead letter, or when a copy for another attempt is due. */
let copies: { what: string; tag: number; third?: unknown; done: Deferred<void> }[];
let events: BrokerEvents['dead-lettered'][];
let outcomes: string[];

beforeEach(() => {
  clock = new FakeClock();
  memory = new DuplicateFilter({ capacity: 10, windowMs: 30_000, clock });
  session = new FakeSession();
  copies = [];
  events = [];
  outcomes = [];
});

function settlementOf(contract = counting, { noAck = false } = {}): Settlement {
  const copy = (what: string) => (message: ReceivedMessage, _: unknown, third?: unknown) => {
    const done = deferred<void>();
    copies.push({ what, tag: message.delivery.deliveryTag, third, done });
    return done.promise;
  };
  const republisher = { deadLetter: copy('dead letter'), retry: copy('retry') } as unknown as Republisher;
  const told = new Events(silentLogger);
  told.on('dead-lettered', (event) => events.push(event));
  const onOutcome = (_: unknown, message: ReceivedMessage, outcome: string) =>
    outcomes.push(`${outcome} ${message.delivery.deliveryTag}`);
  return new Settlement({ contract, noAck, memory, republisher, events: told, clock, onOutcome });
}

function message(settler: Settlement, deliveryTag = 1, different = {}): ReceivedMessage {
  const properties = { messageId: `m${deliveryTag}` };
  return received({ deliveryTag, properties, ...different }, { session, settler });
}

const failure = { kind: 'retry', error: new Error('boom') } as const;

describe('a message that is done', () => {
  it('is acknowledged and counted', () => {
    const settlement = settlementOf();

    expect(message(settlement).ack()).toBe(true);
    expect([session.log, settlement.counts.acked, outcomes]).toEqual([['ack 1'], 1, ['acked 1']]);
  });

  it('is remembered, in case that its acknowledgement is lost', () => {
    const one = message(settlementOf());
    one.ack();
    memory.channelLost([]);
    memory.channelOpened();

    expect(memory.recognises({ ...one.delivery, redelivered: true })).toBe(true);
  });

  it('is remembered also when its delivery was lost before', () => {
    const settlement = settlementOf();
    const one = message(settlement);
    session.isLive = false;
    memory.channelLost([]);
    const answer = one.ack();

    expect([answer, settlement.counts, outcomes]).toMatchObject([false, { acked: 0, stale: 1 }, []]);
    expect(memory.recognises({ ...one.delivery, redelivered: true })).toBe(true);
  });

  it('is not remembered where nothing comes back', () => {
    const one = message(settlementOf(counting, { noAck: true }));
    one.ack();
    memory.channelLost([]);

    expect(memory.recognises({ ...one.delivery, redelivered: true })).toBe(false);
  });
});

describe('a message that is given back', () => {
  it('is given back unseen by requeue, and as a failed attempt by a loop that was left', () => {
    const settlement = settlementOf();
    message(settlement, 1).requeue();
    message(settlement, 2).settle({ kind: 'reject' });

    expect(session.log).toEqual(['unseen 1', 'failed 2']);
    expect([settlement.counts.requeued, outcomes]).toEqual([2, ['requeued 1', 'requeued 2']]);
  });

  it.each(['requeue', 'retry', 'deadLetter'] as const)(
    'by %s does nothing when its delivery is lost',
    async (verdict) => {
      const settlement = settlementOf();
      const one = message(settlement);
      session.isLive = false;
      const answer = one[verdict]();
      await clock.pass(10_000);

      expect([answer, session.log, copies, outcomes]).toEqual([false, [], [], []]);
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
    const before = [copies.map(({ what, tag, third }) => [what, tag, third]), [...session.log]];
    copies[0]?.done.resolve();
    await turn();

    expect(before).toEqual([[['retry', 1, clock.now() + 100]], []]);
    expect([session.log, settlement.counts.retried, outcomes]).toEqual([['ack 1'], 1, ['retried 1']]);
  });

  it('is delayed as long as the verdict asks for', () => {
    message(settlementOf()).retry({ delayMs: 5_000 });

    expect(copies).toMatchObject([{ what: 'retry', third: clock.now() + 5_000 }]);
  });

  it('is copied without a delay where there is none', () => {
    message(settlementOf()).retry({ delayMs: 0 });

    expect([copies.map(({ third }) => third), clock.armed]).toEqual([[undefined], 0]);
  });

  it('is not remembered as done by the acknowledgement of its copy, which has the same id', async () => {
    const one = message(settlementOf());
    one.settle(failure);
    copies[0]?.done.resolve();
    await turn();
    memory.channelLost([]);

    expect(memory.recognises({ ...one.delivery, redelivered: true })).toBe(false);
  });

  it.each([
    ['its delay is over, when that is longer than a second', 5_000, 5_000],
    ['a second, when its delay is shorter: it must not spin', 100, 1_000],
    ['20 minutes, when its delay is longer than a server waits', 10 * 3_600_000, 20 * 60_000],
  ])('goes back after %s, when its copy could not be published', async (_, delayMs, restMs) => {
    message(settlementOf()).retry({ delayMs });
    copies[0]?.done.reject(new Error('no connection'));
    await clock.pass(restMs - 1);
    const before = [...session.log];
    await clock.pass(1);

    expect([before, session.log]).toEqual([[], ['failed 1']]);
  });

  it('rests in the process, and is then copied, in a queue that belongs to one connection', async () => {
    message(settlementOf(exclusive)).settle(failure);
    await clock.pass(99);
    const before = copies.length;
    await clock.pass(1);
    copies[0]?.done.resolve();
    await turn();

    expect([before, copies.map(({ third }) => third), session.log]).toEqual([0, [undefined], ['ack 1']]);
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

    expect([armed, copies.map(({ tag }) => tag)]).toEqual([1, [2]]);
  });

  it('is only forgotten where the server has forgotten it', async () => {
    message(settlementOf(counting, { noAck: true })).settle(failure);
    await clock.pass(10_000);

    expect([session.log, copies, clock.armed]).toEqual([[], [], 0]);
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
    async (_, verdict, different) => {
      const settlement = settlementOf();
      message(settlement, 1, different).settle(verdict);
      const before = [copies.map(({ what, third }) => [what, third]), [...session.log], [...events]];
      copies[0]?.done.resolve();
      await turn();

      expect(before).toEqual([[['dead letter', verdict.error]], [], []]);
      expect([session.log, settlement.counts.deadLettered]).toEqual([['ack 1'], 1]);
      expect(events).toMatchObject([
        { queue: 'emails', deadLetterQueue: 'emails.dead', messageId: 'm1', error: verdict.error },
      ]);
      expect(outcomes).toEqual(['dead-lettered 1']);
    },
  );

  it('is dropped, to wherever the server sends it, without a dead-letter queue', () => {
    const settlement = settlementOf(queue('emails', z.any(), { deadLetter: false }));
    message(settlement).deadLetter();

    expect([session.log, copies, settlement.counts.deadLettered]).toEqual([['drop 1'], [], 1]);
  });

  it('is kept when its copy could not be published, and placed again after growing pauses', async () => {
    const settlement = settlementOf();
    message(settlement).deadLetter('hopeless');
    copies[0]?.done.reject(new Error('no connection'));
    await turn();
    const told = [settlement.obstacle, settlement.counts.deadLettered];
    await clock.pass(1_000);
    copies[1]?.done.reject(new Error('no connection'));
    await turn();
    await clock.pass(1_999);
    const early = copies.length;
    await clock.pass(1);
    copies[2]?.done.resolve();
    await turn();

    expect(told).toEqual(['no connection', 0]);
    expect([early, copies.length, session.log]).toEqual([2, 3, ['ack 1']]);
    expect([settlement.obstacle, settlement.counts.deadLettered]).toEqual([undefined, 1]);
    expect(copies[2]?.third).toMatchObject({ name: 'DeadLetter' });
  });

  it('counts as stale when its delivery was lost while its copy was published', async () => {
    const settlement = settlementOf();
    message(settlement).deadLetter('hopeless');
    session.isLive = false;
    copies[0]?.done.resolve();
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
    const before = copies.map(({ tag }) => tag);
    for (const { done } of copies) done.reject(new Error('no connection'));
    await turn();

    expect([before, session.log, clock.armed]).toEqual([[1, 2], ['failed 1', 'failed 2'], 0]);
    expect(finishing.state).toBe('resolved');
  });

  it('waits until every copy is confirmed or given up, also those made meanwhile', async () => {
    const settlement = settlementOf();
    message(settlement, 1).settle(failure);
    const finishing = track(settlement.finish());
    await turn();
    copies[0]?.done.resolve();
    message(settlement, 2).deadLetter();
    await turn();
    const before = finishing.state;
    copies[1]?.done.reject(new Error('no connection'));
    await turn();

    expect([before, finishing.state, session.log]).toEqual(['pending', 'resolved', ['ack 1', 'failed 2']]);
  });

  it('ends the rest of what rests now, and only that, when it is left for a while', async () => {
    const settlement = settlementOf(exclusive);
    message(settlement, 1).settle(failure);
    const settled = track(settlement.settled());
    await turn();
    copies[0]?.done.resolve();
    await turn();
    message(settlement, 2).settle(failure);

    expect([settled.state, session.log, clock.armed, copies.length]).toEqual(['resolved', ['ack 1'], 1, 1]);
  });
});
