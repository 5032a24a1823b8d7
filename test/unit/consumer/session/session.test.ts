import { beforeEach, describe, expect, it } from 'vitest';
import { Session, type SessionOptions } from '../../../../src/consumer/session/session.js';
import { type Delivery, TransportError } from '../../../../src/transport/port.js';
import { delivery } from '../../support/deliveries.js';
import { FakeClock, turn } from '../../support/fake-clock.js';
import { type FakeChannel, FakeLink } from '../../support/fake-link.js';
import { rejectionOf, track } from '../../support/track.js';

let link: FakeLink;
let delivered: [Delivery, Session][];

beforeEach(() => {
  link = new FakeLink();
  delivered = [];
});

async function open({
  noAck = false,
  paused = false,
  prefetch = 50,
  ackDelay = undefined as SessionOptions['ackDelay'],
} = {}): Promise<{ session: Session; channel: FakeChannel }> {
  const consume = { noAck, exclusive: false, arguments: { 'x-priority': 5 } };
  const onDelivery = (it: Delivery, session: Session) => void delivered.push([it, session]);
  const options = { queue: 'emails', queueType: 'quorum', prefetch, consume, onDelivery, ackDelay } as const;
  const session = await Session.open(link, options, paused);
  return { session, channel: link.channel };
}

async function openWith(count: number, options = {}) {
  const opened = await open(options);
  for (let deliveryTag = 1; deliveryTag <= count; deliveryTag++) {
    opened.channel.deliver(delivery({ deliveryTag }));
  }
  return opened;
}

describe('a session', () => {
  it('sets its prefetch before it consumes', async () => {
    const { channel } = await open();

    expect(link.requests).toEqual(['open channel', 'prefetch 50', 'consume emails']);
    expect(channel.consumeOptions).toEqual({
      noAck: false,
      exclusive: false,
      arguments: { 'x-priority': 5 },
    });
  });

  it('consumes only once it goes on, when it begins paused', async () => {
    const { session } = await open({ paused: true });
    const before = [...link.requests, session.isConsuming];
    await session.resume();

    expect(before).toEqual(['open channel', 'prefetch 50', false]);
    expect({ lastRequest: link.requests.at(-1), isConsuming: session.isConsuming }).toEqual({
      lastRequest: 'consume emails',
      isConsuming: true,
    });
  });

  it('sets no prefetch where nothing is acknowledged', async () => {
    await open({ noAck: true });

    expect(link.requests).toEqual(['open channel', 'consume emails']);
  });

  it('hands on each delivery together with itself', async () => {
    const { session } = await openWith(2);

    expect(delivered.map(([{ deliveryTag }, from]) => ({ deliveryTag, isItself: from === session }))).toEqual(
      [
        { deliveryTag: 1, isItself: true },
        { deliveryTag: 2, isItself: true },
      ],
    );
  });

  it('that cannot be opened rejects, and leaves no channel behind', async () => {
    link.onRequest = (request) => {
      if (request.startsWith('consume')) throw new TransportError('NOT_FOUND', { replyCode: 404 });
    };

    expect(await rejectionOf(open())).toMatchObject({ replyCode: 404 });
    expect(link.channel.isOpen).toBe(false);
  });

  it('gathers the acknowledgements of one turn into one frame', async () => {
    const { session, channel } = await openWith(3);
    const answers = { first: session.ack(1), third: session.ack(3), second: session.ack(2) };
    const before = [...channel.settled];
    await turn();

    expect({ answers, before, settled: channel.settled }).toEqual({
      answers: { first: true, third: true, second: true },
      before: [],
      settled: ['ack ..3'],
    });
  });

  it('gives back, counted or uncounted, and drops', async () => {
    const { session, channel } = await openWith(3);
    const answers = {
      requeueFailed: session.requeueFailed(1),
      requeueUnseen: session.requeueUnseen(2),
      drop: session.drop(3),
    };

    expect(answers).toEqual({ requeueFailed: true, requeueUnseen: true, drop: true });
    expect(channel.settled).toEqual(['reject 1 requeue', 'nack 2 requeue', 'reject 3']);
  });

  it('knows what is not settled', async () => {
    const { session } = await openWith(4);
    session.ack(1);
    session.drop(3);

    expect([...session.unsettled].map(({ deliveryTag }) => deliveryTag)).toEqual([2, 4]);
  });

  it('settles nothing where the server has forgotten it, and says that all is well', async () => {
    const { session, channel } = await openWith(2, { noAck: true });
    const answers = { ack: session.ack(1), requeueFailed: session.requeueFailed(2), drop: session.drop(2) };
    await turn();

    expect({ answers, settled: channel.settled, unsettled: [...session.unsettled] }).toEqual({
      answers: { ack: true, requeueFailed: true, drop: true },
      settled: [],
      unsettled: [],
    });
  });
});

describe('a session that may delay its acknowledgements', () => {
  const clock = new FakeClock();
  const ackDelay = { clock, ms: 5 };

  it('gathers those of several turns into one frame', async () => {
    const { session, channel } = await openWith(3, { ackDelay });
    for (const tag of [1, 2, 3]) {
      session.ack(tag);
      await turn();
    }
    const before = [...channel.settled];
    await clock.pass(5);

    expect({ before, settled: channel.settled, armed: clock.armed }).toEqual({
      before: [],
      settled: ['ack ..3'],
      armed: 0,
    });
  });

  it('keeps none back where the server would soon deliver no more', async () => {
    const { session, channel } = await openWith(2, { ackDelay, prefetch: 4 });
    session.ack(1);
    await turn();

    expect({ settled: channel.settled, armed: clock.armed }).toEqual({ settled: ['ack 1'], armed: 0 });
  });

  it('sends those that wait at once when the server soon delivers no more', async () => {
    const { session, channel } = await openWith(1, { ackDelay, prefetch: 4 });
    session.ack(1);
    await turn();
    const before = [...channel.settled];
    channel.deliver(delivery({ deliveryTag: 2 }));
    session.ack(2);
    await turn();

    expect({ before, settled: channel.settled, armed: clock.armed }).toEqual({
      before: [],
      settled: ['ack ..2'],
      armed: 0,
    });
  });

  it('sends them when it is paused', async () => {
    const { session, channel } = await openWith(1, { ackDelay });
    session.ack(1);
    await session.pause();

    expect({ settled: channel.settled, armed: clock.armed }).toEqual({ settled: ['ack 1'], armed: 0 });
  });

  it('sends them when it is closed', async () => {
    const { session, channel } = await openWith(1, { ackDelay });
    session.ack(1);
    await session.close();

    expect({ settled: channel.settled, armed: clock.armed }).toEqual({ settled: ['ack 1'], armed: 0 });
  });

  it('leaves no timer when its channel is lost', async () => {
    const { session, channel } = await openWith(1, { ackDelay });
    session.ack(1);
    session.end(new TransportError('lost'));

    expect({ settled: channel.settled, armed: clock.armed }).toEqual({ settled: [], armed: 0 });
  });
});

describe('pausing a session', () => {
  it('cancels the consumer; what came can still be settled', async () => {
    const { session, channel } = await openWith(1);
    await session.pause();
    session.ack(1);
    await turn();

    expect(link.requests.at(-1)).toBe('cancel consumer-1');
    expect({ isConsuming: session.isConsuming, isLive: session.isLive, settled: channel.settled }).toEqual({
      isConsuming: false,
      isLive: true,
      settled: ['ack 1'],
    });
  });

  it('twice asks the server once', async () => {
    const { session } = await open();
    await session.pause();
    await session.pause();

    expect(link.requests.filter((it) => it.startsWith('cancel'))).toHaveLength(1);
  });

  it('waits for the answer to its consuming, which says what to cancel', async () => {
    const { session } = await open({ paused: true });
    let answer = () => {};
    link.onRequest = (request) =>
      request.startsWith('consume') ? new Promise<void>((resolve) => (answer = resolve)) : undefined;
    void session.resume();
    await turn();
    const pausing = track(session.pause());
    await turn();
    const before = { state: pausing.state, lastRequest: link.requests.at(-1) };
    answer();
    await turn();

    expect(before).toEqual({ state: 'pending', lastRequest: 'consume emails' });
    expect({ state: pausing.state, lastRequest: link.requests.at(-1) }).toEqual({
      state: 'resolved',
      lastRequest: 'cancel consumer-1',
    });
  });

  it('takes another consumer tag when it goes on', async () => {
    const { session } = await open();
    await session.pause();
    await session.resume();
    await session.pause();

    expect(link.requests.at(-1)).toBe('cancel consumer-2');
  });
});

describe('the end of a session', () => {
  it.each<[string, (channel: FakeChannel) => void, string]>([
    [
      'its channel was closed',
      (channel) => channel.die(new TransportError('closed by server')),
      'closed by server',
    ],
    ['its connection was lost', () => link.die(new Error('reset')), 'reset'],
    ['the server cancelled it', (channel) => channel.cancelConsumer(), 'the server cancelled the consumer'],
  ])('comes when %s, with the reason', async (_, happen, reason) => {
    const { session, channel } = await openWith(1);
    const ended = track(session.ended);
    await turn();
    const before = ended.state;
    happen(channel);
    await turn();

    expect(before).toBe('pending');
    expect(ended.value).toMatchObject({ message: reason });
    expect(session.isLive).toBe(false);
  });

  it('makes every verdict stale: no tag is ever sent to another channel', async () => {
    const { session, channel } = await openWith(4);
    session.ack(1);
    channel.cancelConsumer();
    const answers = {
      ack: session.ack(2),
      requeueFailed: session.requeueFailed(3),
      requeueUnseen: session.requeueUnseen(4),
      drop: session.drop(4),
    };
    session.flush();
    await turn();

    expect({ answers, settled: channel.settled }).toEqual({
      answers: { ack: false, requeueFailed: false, requeueUnseen: false, drop: false },
      settled: [],
    });
  });

  it('lets no delivery through any more', async () => {
    const { session, channel } = await open();
    session.end(new TransportError('enough'));
    channel.deliver(delivery());

    expect(delivered).toEqual([]);
  });

  it('comes also when writing fails', async () => {
    const { session, channel } = await openWith(2);
    channel.isOpen = false;
    const answer = session.requeueFailed(1);

    expect({ answer, isLive: session.isLive }).toEqual({ answer: false, isLive: false });
    expect(await session.ended).toMatchObject({ message: 'the channel is closed' });
  });

  it('sends what was gathered first, when it is closed', async () => {
    const { session, channel } = await openWith(2);
    session.ack(1);
    await session.close();
    await session.close();

    expect({ settled: channel.settled, isOpen: channel.isOpen, isLive: session.isLive }).toEqual({
      settled: ['ack 1'],
      isOpen: false,
      isLive: false,
    });
  });
});

describe('a session that leaves', () => {
  it('sends acknowledgements alone, and closes the channel without a cancel', async () => {
    const { session, channel } = await openWith(4);
    session.leave();
    expect({
      requeueUnseen: session.requeueUnseen(3),
      requeueFailed: session.requeueFailed(2),
      ack: session.ack(1),
    }).toEqual({ requeueUnseen: true, requeueFailed: true, ack: true });
    await session.close();

    expect(channel.settled).toEqual(['ack 1']);
    expect(link.requests.slice(3)).toEqual(['close channel']);
    expect(session.hasLeft).toBe(true);
  });

  it('still lets go of what the server is to dead-letter', async () => {
    const { session, channel } = await openWith(1);
    session.leave();
    session.drop(1);

    expect(channel.settled).toEqual(['reject 1']);
  });

  it('gives back what it kept when it stays after all', async () => {
    const { session, channel } = await openWith(3);
    session.leave();
    session.requeueUnseen(3);
    session.requeueFailed(2);
    session.stay();
    session.requeueUnseen(1);
    await session.close();

    expect(channel.settled).toEqual(['nack 3 requeue', 'reject 2 requeue', 'nack 1 requeue']);
    expect(session.hasLeft).toBe(false);
  });

  it('has not left when its channel is lost before', async () => {
    const { session, channel } = await openWith(2);
    session.leave();
    channel.die(new TransportError('lost'));
    await session.close();

    expect({ hasLeft: session.hasLeft, requeueUnseen: session.requeueUnseen(1) }).toEqual({
      hasLeft: false,
      requeueUnseen: false,
    });
  });
});
