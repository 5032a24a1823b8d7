import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { resolveConsumerOptions } from '../../../src/consumer/options/consumer-options.js';
import { RecoveryLoop } from '../../../src/consumer/recovery-loop.js';
import type { Session } from '../../../src/consumer/session/session.js';
import { queue } from '../../../src/contracts/queue.js';
import { declarerOf } from '../../../src/declarations/declarer.js';
import { ClosedError, ConnectionError, TopologyError } from '../../../src/errors.js';
import { TransportError } from '../../../src/transport/port.js';
import { delivery } from '../support/deliveries.js';
import { FakeClock, turn } from '../support/fake-clock.js';
import { FakeConnection } from '../support/fake-connection.js';
import type { FakeLink } from '../support/fake-link.js';

const emails = queue('emails', z.any(), { deadLetter: false });

let clock: FakeClock;
let connection: FakeConnection;
let log: string[];
let failure: Error | undefined;
let sessions: Session[];
let paused: boolean;

beforeEach(() => {
  clock = new FakeClock();
  connection = new FakeConnection();
  log = [];
  failure = undefined;
  sessions = [];
  paused = false;
});

function subscribe(contract = emails, wasOpen = false, onDelivering: () => void = () => {}): RecoveryLoop {
  return new RecoveryLoop(
    {
      contract,
      options: resolveConsumerOptions(contract, { prefetch: 7, priority: 3 }),
      connection: connection.asConnection,
      clock,
      isPaused: () => paused,
      onDeclared: () => {},
      onDelivery: ({ deliveryTag }) => log.push(`delivery ${deliveryTag}`),
      onDelivering: () => {
        log.push('delivering');
        onDelivering();
      },
      onRestored: () => {},
      onOpened: (session) => {
        sessions.push(session);
        log.push('opened');
      },
      onLost: (reason, session) =>
        log.push(`lost ${session ? 'a session' : 'an attempt'}: ${reason.message}`),
      onFailed: (error) => {
        failure = error;
        log.push('failed');
      },
    },
    wasOpen,
  );
}

const refuse = (link: FakeLink, what: string, error: TransportError, times = Number.POSITIVE_INFINITY) => {
  let left = times;
  link.onRequest = (request) => {
    if (request.startsWith(what) && left-- > 0) throw error;
  };
};
const count = (link: FakeLink | undefined, what: string) =>
  link?.requests.filter((it) => it.startsWith(what)).length;

const GONE = new TransportError("NOT_FOUND - no queue 'emails' in vhost '/'", { replyCode: 404 });

describe('a subscription', () => {
  it('declares its queue, and then consumes from it with its options', async () => {
    const link = connection.open();
    subscribe();
    await turn();

    expect(link.requests.filter((it) => !it.endsWith('channel'))).toEqual([
      'declare queue emails',
      'prefetch 7',
      'consume emails',
    ]);
    expect(link.channel.consumeOptions).toEqual({
      noAck: false,
      exclusive: false,
      // 20 minutes for the handler, and 30 for the waiting before and after it.
      arguments: { 'x-consumer-timeout': 4_200_000, 'x-priority': 3 },
      isReplicated: true,
    });
    expect(log).toEqual(['opened']);
  });

  it('asks for no time where the server refuses that: the queue is of another type than it seemed', async () => {
    const link = connection.open();
    const text = "PRECONDITION_FAILED - invalid arg 'x-consumer-timeout' for queue 'emails' in vhost '/'";
    refuse(link, 'consume', new TransportError(text, { replyCode: 406 }), 1);
    subscribe();
    await clock.pass(1_000);

    expect(log).toEqual(['opened']);
    expect(link.channel.consumeOptions).toMatchObject({ arguments: { 'x-priority': 3 } });
  });

  it('does not consume while it is paused', async () => {
    paused = true;
    const link = connection.open();
    subscribe();
    await turn();

    expect({ consumes: count(link, 'consume'), log }).toEqual({ consumes: 0, log: ['opened'] });
  });

  it('tells of the session before its first message, which may come before it counts as open', async () => {
    const link = connection.open();
    link.onRequest = (request) => {
      if (request.startsWith('consume')) queueMicrotask(() => link.channel.deliver(delivery()));
    };
    subscribe();
    await turn();
    link.channel.deliver(delivery({ deliveryTag: log.includes('delivery 1') ? 2 : 1 }));

    expect(log.filter((it) => it === 'delivering')).toHaveLength(1);
    expect(log.indexOf('delivering')).toBeLessThan(log.indexOf('delivery 1'));
  });

  it('begins again on the next connection', async () => {
    connection.open();
    subscribe();
    await turn();
    connection.lose(new Error('reset'));
    await turn();
    const second = connection.open();
    await clock.pass(5_000);

    expect(log).toEqual(['opened', 'lost a session: reset', 'opened']);
    expect({ declares: count(second, 'declare'), consumes: count(second, 'consume') }).toEqual({
      declares: 1,
      consumes: 1,
    });
    expect(sessions[0]).not.toBe(sessions[1]);
  });

  it('declares its queue again when the server cancels it, since it may be gone', async () => {
    const link = connection.open();
    subscribe();
    await turn();
    link.channel.cancelConsumer();
    await clock.pass(5_000);

    expect(count(link, 'declare queue emails')).toBe(2);
    expect(log).toEqual(['opened', 'lost a session: the server cancelled the consumer', 'opened']);
  });

  it('declares its queue also when an earlier consumer has: it may be gone since then', async () => {
    const link = connection.open();
    await declarerOf(link).declare(emails);
    subscribe();
    await turn();

    expect(count(link, 'declare queue emails')).toBe(2);
  });

  it('waits longer after each loss on a connection that lives', async () => {
    clock.chance = 0.999;
    const link = connection.open();
    subscribe();
    await turn();
    const delays: number[] = [];
    for (let loss = 0; loss < 8; loss++) {
      link.channel.cancelConsumer();
      await turn();
      delays.push(Math.round((clock.nextInMs ?? 0) / 100) * 100);
      await clock.pass(5_000);
    }

    expect(delays).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
  });

  it('does not wait after the loss of its connection, which has a delay of its own', async () => {
    connection.open();
    subscribe();
    await turn();
    connection.lose();
    await turn();

    expect(clock.nextInMs ?? 0).toBe(0);
  });
});

describe('a subscription that cannot begin', () => {
  it.each([
    [
      'a queue with other arguments',
      'declare',
      new TransportError('PRECONDITION_FAILED', { replyCode: 406 }),
      'MISMATCH',
    ],
    [
      'no right to consume',
      'consume',
      new TransportError('ACCESS_REFUSED', { replyCode: 403 }),
      'ACCESS_REFUSED',
    ],
    [
      'a missing exchange to bind to',
      'declare',
      new TransportError('NOT_FOUND', { replyCode: 404 }),
      'NOT_FOUND',
    ],
  ])('fails for %s', async (_, what, error, code) => {
    const link = connection.open();
    refuse(link, what, error);
    subscribe();
    await clock.pass(60_000);

    expect(failure).toBeInstanceOf(TopologyError);
    expect(failure).toMatchObject({ code });
    expect(log).toEqual(['failed']);
  });

  it('fails for a missing queue that it does not declare', async () => {
    const link = connection.open();
    refuse(link, 'consume', GONE);
    subscribe(queue('emails', z.any(), { declare: false }));
    await clock.pass(60_000);

    expect(failure).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('tries again for a missing queue that was there before', async () => {
    const link = connection.open();
    refuse(link, 'consume', GONE, 3);
    subscribe(queue('emails', z.any(), { declare: false }), true);
    await clock.pass(60_000);

    expect(log).toEqual([...Array(3).fill(`lost an attempt: ${GONE.message}`), 'opened']);
  });

  it('tries again, and declares again, for a queue that was deleted after it was declared', async () => {
    const link = connection.open();
    refuse(link, 'consume', GONE, 1);
    subscribe();
    await clock.pass(60_000);

    expect({ last: log.at(-1), declares: count(link, 'declare queue emails') }).toEqual({
      last: 'opened',
      declares: 2,
    });
  });

  it.each([
    [
      'another one consumes exclusively',
      403,
      "ACCESS_REFUSED - queue 'emails' in vhost '/' in exclusive use",
    ],
    [
      'a stream that was just declared has no replica',
      406,
      "PRECONDITION_FAILED - queue 'emails' does not have a replica on the local node",
    ],
  ])('waits while %s', async (_, replyCode, text) => {
    const link = connection.open();
    refuse(link, 'consume', new TransportError(text, { replyCode }), 3);
    subscribe();
    await clock.pass(60_000);

    expect({ failure, last: log.at(-1) }).toEqual({ failure: undefined, last: 'opened' });
  });

  it('tries again after anything that may pass', async () => {
    const link = connection.open();
    refuse(link, 'prefetch', new TransportError('the server did not answer'), 2);
    subscribe();
    await clock.pass(60_000);

    expect(log).toEqual([
      'lost an attempt: the server did not answer',
      'lost an attempt: the server did not answer',
      'opened',
    ]);
  });

  it.each([new ConnectionError('ACCESS_REFUSED', 'wrong password'), new ClosedError('closed')])(
    'fails with what its connection failed with: %s',
    async (error) => {
      subscribe();
      await turn();
      connection.fail(error);
      await turn();

      expect({ failure, log }).toEqual({ failure: error, log: ['failed'] });
    },
  );
});

describe('stopping a subscription', () => {
  it('leaves the open session as it is, and opens no other', async () => {
    const link = connection.open();
    const subscription = subscribe();
    await turn();
    subscription.stop();
    link.channel.deliver(delivery());
    link.channel.cancelConsumer();
    await clock.pass(60_000);

    expect(log).toEqual(['opened', 'delivery 1', 'lost a session: the server cancelled the consumer']);
    expect({ consumes: count(link, 'consume'), armed: clock.armed }).toEqual({ consumes: 1, armed: 0 });
  });

  it('ends the wait for a connection and for the next attempt', async () => {
    const waiting = subscribe();
    waiting.stop();
    const link = connection.open();
    refuse(link, 'consume', new TransportError('no answer'));
    const trying = subscribe();
    await turn();
    trying.stop();
    await clock.pass(60_000);

    expect({ consumes: count(link, 'consume'), armed: clock.armed, failure }).toEqual({
      consumes: 1,
      armed: 0,
      failure: undefined,
    });
  });

  it('while it opens closes what was opened, and does not report that it is open', async () => {
    const link = connection.open();
    let letGo = () => {};
    link.onRequest = (request) =>
      request.startsWith('consume') ? new Promise<void>((resolve) => (letGo = resolve)) : undefined;
    const subscription = subscribe();
    await turn();
    subscription.stop();
    letGo();
    await turn();

    expect(log).not.toContain('opened');
    expect(link.channel.isOpen).toBe(false);
  });
});
