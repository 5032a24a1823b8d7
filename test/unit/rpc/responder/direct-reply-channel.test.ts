import { describe, expect, it } from 'vitest';
import { Publisher } from '../../../../src/producer/publisher/publisher.js';
import { DirectReplyChannel } from '../../../../src/rpc/responder/direct-reply-channel.js';
import type { OutgoingMessage } from '../../../../src/transport/port.js';
import { deferred } from '../../../../src/util/promises.js';
import { FakeClock, turn } from '../../support/fake-clock.js';
import { FakeConnection } from '../../support/fake-connection.js';
import { FakeLink } from '../../support/fake-link.js';
import { type Tracked, track } from '../../support/track.js';

const message = (messageId: string, bytes: number): OutgoingMessage => ({
  exchange: '',
  routingKey: 'amq.rabbitmq.reply-to.g1',
  mandatory: false,
  properties: { messageId },
  content: Buffer.alloc(bytes),
});

/** An publisher whose channel is an answer channel, between the test and the test. */
function open() {
  const clock = new FakeClock();
  const connection = new FakeConnection();
  connection.open();
  const publisher = new Publisher({
    target: 'the requester',
    connection: connection.asConnection,
    clock,
    contract: undefined,
    maxInFlight: 1_000,
    maxBuffered: 1_000,
    openChannel: (link, options) => DirectReplyChannel.open(link, clock, options),
  });
  const answer = (messageId: string, bytes = 2): Tracked<unknown> =>
    track(
      publisher.add(
        message(messageId, bytes),
        { messageId },
        { timeoutMs: 30_000, signal: undefined, hasOwnId: false },
      ),
    );
  const asked = (link = connection.links.at(-1)) =>
    link?.requests.filter((request) => request.startsWith('prefetch')).length;
  return { clock, connection, publisher, answer, asked };
}

/** The same, with the first answer behind it. */
async function opened() {
  const bench = open();
  bench.answer('first');
  await turn();
  return bench;
}

describe('an answer channel', () => {
  it('asks for no confirms', async () => {
    const { connection, answer } = open();
    answer('a');
    await turn();
    expect(connection.links[0]?.channel.options.confirms).toBe(false);
    expect(connection.links[0]?.channel.ids).toEqual(['a']);
  });

  it('asks the server at once about the answers that have waited for it', async () => {
    const { answer, asked } = open();
    const answers = ['a', 'b', 'c'].map((id) => answer(id));
    await turn();
    expect(answers.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'resolved']);
    expect(asked()).toBe(1);
  });

  it('asks the server once about many later answers', async () => {
    const { clock, answer, asked } = await opened();
    const answers = ['a', 'b', 'c'].map((id) => answer(id));
    await turn();
    expect(answers.map(({ state }) => state)).toEqual(['pending', 'pending', 'pending']);
    await clock.pass(100);
    expect(answers.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'resolved']);
    expect(asked()).toBe(2);
    await clock.pass(60_000);
    expect(asked()).toBe(2);
  });

  it('does not take an answer of the server for one that was published after the question', async () => {
    const { clock, connection, answer, asked } = await opened();
    const held = deferred<void>();
    const first = answer('a');
    const [link] = connection.links as [FakeLink];
    link.onRequest = (request) => (request === 'prefetch 0' ? held.promise : undefined);
    await clock.pass(100);
    const second = answer('b');
    link.onRequest = () => undefined;
    held.resolve();
    await turn();
    expect({ first: first.state, second: second.state }).toEqual({ first: 'resolved', second: 'pending' });
    await clock.pass(100);
    expect(second.state).toBe('resolved');
    expect(asked()).toBe(3);
  });

  it('does not wait when there are many', async () => {
    const { answer, asked } = await opened();
    const answers = Array.from({ length: 250 }, (_, n) => answer(`${n}`));
    await turn();
    expect(answers.every(({ state }) => state === 'resolved')).toBe(true);
    expect(asked()).toBe(2);
  });

  it('sends again what the server was not heard about before the channel was lost', async () => {
    const { clock, connection, answer } = open();
    const old = answer('a');
    await turn();
    const lost = answer('b');
    await turn();
    connection.lose();
    await clock.pass(1_000);
    expect({ old: old.state, lost: lost.state }).toEqual({ old: 'resolved', lost: 'pending' });
    const link = connection.open(new FakeLink());
    await clock.pass(1_000);
    expect(link.channel.ids).toEqual(['b']);
    expect(lost.state).toBe('resolved');
  });

  it('does not wait when it is closed', async () => {
    const { publisher, answer, connection } = await opened();
    const answered = answer('a');
    await publisher.close();
    expect(answered.state).toBe('resolved');
    expect(connection.links[0]?.channel.isOpen).toBe(false);
  });

  it('does not wait with what is published once it is closed', async () => {
    const { publisher, answer } = open();
    const answered = answer('a');
    await publisher.close();
    expect(answered.state).toBe('resolved');
  });

  it('does not wait with answers that leave no room for the next one', async () => {
    const { answer } = await opened();
    const large = [answer('a', 10 * 1024 * 1024), answer('b', 10 * 1024 * 1024)];
    await turn();
    expect(large[0]?.state).toBe('resolved');
    await turn();
    expect(large[1]?.state).toBe('resolved');
  });

  it('asks at once about the answers that an alarm has held back', async () => {
    const { connection, publisher, answer } = await opened();
    const [link] = connection.links as [FakeLink];
    link.block('low on disk');
    const held = answer('a');
    await turn();
    expect(held.state).toBe('pending');
    link.block(undefined);
    publisher.flush();
    await turn();
    expect(held.state).toBe('resolved');
  });

  it('leaves no timer behind when its channel is lost', async () => {
    const { clock, connection, answer } = await opened();
    answer('a');
    await turn();
    const armed = clock.armed;
    connection.lose();
    await turn();
    expect(clock.armed).toBe(armed - 1);
  });
});
