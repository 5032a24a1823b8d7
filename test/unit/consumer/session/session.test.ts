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
    expect([link.requests.at(-1), session.isConsuming]).toEqual(['consume emails', true]);
  });

  it('sets no prefetch where nothing is acknowledged', async () => {
    await open({ noAck: true });

    expect(link.requests).toEqual(['open channel', 'consume emails']);
  });

  it('hands on each delivery together with itself', async () => {
    const { session } = await openWith(2);

    expect(delivered.map(([{ deliveryTag }, from]) => [deliveryTag, from === session])).toEqual([
      [1, true],
      [2, true],
    ]);
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
    const answers = [session.ack(1), session.ack(3), session.ack(2)];
    const before = [...channel.settled];
    await turn();

    expect([answers, before, channel.settled]).toEqual([[true, true, true], [], ['ack ..3']]);
  });

  it('gives back, counted or uncounted, and drops', async () => {
    const { session, channel } = await openWith(3);
    const answers = [session.requeueFailed(1), session.requeueUnseen(2), session.drop(3)];

    expect(answers).toEqual([true, true, true]);
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
    const answers = [session.ack(1), session.requeueFailed(2), session.drop(2)];
    await turn();

    expect([answers, channel.settled, [...session.unsettled]]).toEqual([[true, true, true], [], []]);
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

    expect([before, channel.settled, clock.armed]).toEqual([[], ['ack ..3'], 0]);
  });

  it('keeps none back where the server would soon deliver no more', async () => {
    const { session, channel } = await openWith(2, { ackDelay, prefetch: 4 });
    session.ack(1);
    await turn();

    expect([channel.settled, clock.armed]).toEqual([['ack 1'], 0]);
  });

  it('sends those that wait at once when the server soon delivers no more', async () => {
    const { session, channel } = await openWith(1, { ackDelay, prefetch: 4 });
    session.ack(1);
    await turn();
    const before = [...channel.settled];
    channel.deliver(delivery({ deliveryTag: 2 }));
    session.ack(2);
    await turn();

    expect([before, channel.settled, clock.armed]).toEqual([[], ['ack ..2'], 0]);
  });

  it('sends them when it is paused', async () => {
    const { session, channel } = await openWith(1, { ackDelay });
    session.ack(1);
    await session.pause();

    expect([channel.settled, clock.armed]).toEqual([['ack 1'], 0]);
  });

  it('sends them when it is closed', async () => {
    const { session, channel } = await openWith(1, { ackDelay });
    session.ack(1);
    await session.close();

    expect([channel.settled, clock.armed]).toEqual([['ack 1'], 0]);
  });

  it('leaves no timer when its channel is lost', async () => {
    const { session, channel } = await openWith(1, { ackDelay });
    session.ack(1);
    session.end(new TransportError('lost'));

    expect([channel.settled, clock.armed]).toEqual([[], 0]);
  });
});

describe('pausing a session', () => {
  it('cancels the consumer; what came can still be settled', async () => {
    const { session, channel } = await openWith(1);
    await session.pause();
    session.ack(1);
    await turn();

    expect(link.requests.at(-1)).toBe('cancel consumer-1');
    expect([session.isConsuming, session.isLive, channel.settled]).toEqual([false, true, ['ack 1']]);
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
    const before = [pausing.state, link.requests.at(-1)];
    answer();
    await turn();

    expect(before).toEqual(['pending', 'consume emails']);
    expect([pausing.state, link.requests.at(-1)]).toEqual(['resolved', 'cancel consumer-1']);
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
    const answers = [session.ack(2), session.requeueFailed(3), session.requeueUnseen(4), session.drop(4)];
    session.flush();
    await turn();

    expect([answers, channel.settled]).toEqual([[false, false, false, false], []]);
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

    expect([answer, session.isLive]).toEqual([false, false]);
    expect(await session.ended).toMatchObject({ message: 'the channel is closed' });
  });

  it('sends what was gathered first, when it is closed', async () => {
    const { session, channel } = await openWith(2);
    session.ack(1);
    await session.close();
    await session.close();

    expect([channel.settled, channel.isOpen, session.isLive]).toEqual([['ack 1'], false, false]);
  });
});

describe('a session that leaves', () => {
  it('sends acknowledgements alone, and closes the channel without a cancel', async () => {
    const { session, channel } = await openWith(4);
    session.leave();
    expect([session.requeueUnseen(3), session.requeueFailed(2), session.ack(1)]).toEqual([true, true, true]);
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

    expect([session.hasLeft, session.requeueUnseen(1)]).toEqual([false, false]);
  });
});
