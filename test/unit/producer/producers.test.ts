import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { exchange } from '../../../src/contracts/exchange.js';
import { queue } from '../../../src/contracts/queue.js';
import { Producers } from '../../../src/producer/producers.js';
import { deferred } from '../../../src/util/promises.js';
import { FakeClock, turn } from '../support/fake-clock.js';
import { FakeConnection } from '../support/fake-connection.js';
import { track } from '../support/track.js';

const emails = queue('emails', z.any(), { deadLetter: false });

let clock: FakeClock;
let connection: FakeConnection;
let setUp: Promise<void> | undefined;
let producers: Producers;

beforeEach(() => {
  clock = new FakeClock();
  connection = new FakeConnection();
  connection.open();
  setUp = undefined;
  producers = new Producers({
    connection: connection.asConnection,
    clock,
    maxBodyBytes: 100,
    setUpOn: () => setUp,
    isClosing: () => false,
    onRestored: async () => {},
  });
});

/** The channels for publishing that were opened, and those that are open. */
const channels = () => {
  const all = (connection.links[0]?.channels ?? []).filter(({ options }) => options.confirms);
  return { opened: all.length, open: all.filter(({ isOpen }) => isOpen).length };
};

async function sendOne(): Promise<void> {
  const sending = track(producers.producer(emails, {}).send(1));
  await turn();
  const channel = connection.links[0]?.publisher;
  channel?.confirm(channel.published.length);
  await turn();
  expect(sending.state).toBe('resolved');
}

describe('the producers of one contract', () => {
  it('share one channel, however many there are', async () => {
    for (let n = 0; n < 50; n++) await sendOne();
    expect({ channels: channels(), health: producers.health }).toEqual({
      channels: { opened: 1, open: 1 },
      health: [{ target: 'emails', pending: 0, inFlight: 0 }],
    });
  });

  it('give it back after a minute without a send, and open another one for the next', async () => {
    await sendOne();
    await clock.pass(50_000);
    await sendOne();
    await clock.pass(30_000);
    const busy = channels();
    await clock.pass(40_000);
    const idle = channels();
    await sendOne();
    expect({ busy, idle, busyAgain: channels() }).toEqual({
      busy: { opened: 1, open: 1 },
      idle: { opened: 1, open: 0 },
      busyAgain: { opened: 2, open: 1 },
    });
  });

  it('close each by itself, and the channel with the last', async () => {
    const [one, two] = [producers.producer(emails, {}), producers.producer(emails, {})];
    const sending = track(two.send(1));
    await turn();
    await one.close();
    await expect(one.send(1)).rejects.toMatchObject({ code: 'CLOSED' });
    const closing = track(two.close());
    await turn();
    const during = { state: closing.state, open: channels().open };
    connection.links[0]?.publisher.confirm(1);
    await turn();
    expect({ during, sending: sending.state, closing: closing.state, open: channels().open }).toEqual({
      during: { state: 'pending', open: 1 },
      sending: 'resolved',
      closing: 'resolved',
      open: 0,
    });
  });

  it.each([
    ['maxInFlight', 5, 6],
    ['maxBuffered', 5, 6],
    ['timeoutMs', 500, 600],
  ] as const)('refuse another value of %s', (option, before, other) => {
    const first = producers.producer(emails, { [option]: before });
    producers.producer(emails, { [option]: before });
    producers.producer(emails, {});
    expect(() => producers.producer(emails, { [option]: other })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', option }),
    );
    expect(first.contract).toBe(emails);
  });
});

describe('a send to an exchange', () => {
  const orders = exchange('orders', z.any());

  it('waits until the consumers that were made before are set up', async () => {
    const ready = deferred<void>();
    setUp = ready.promise;
    const producer = producers.producer(orders, {});
    const sending = track(producer.send(1, { routingKey: 'a' }));
    await turn();
    const before = channels().opened;
    setUp = undefined;
    void producer.send(2, { routingKey: 'a' });
    ready.resolve();
    await turn();
    expect({ before, state: sending.state }).toEqual({ before: 0, state: 'pending' });
    expect(connection.links[0]?.publisher.published.map(({ content }) => String(content))).toEqual([
      '1',
      '2',
    ]);
  });

  it('waits within its own limit', async () => {
    setUp = new Promise(() => {});
    const sending = track(producers.producer(orders, {}).send(1, { routingKey: 'a', timeoutMs: 100 }));
    await clock.pass(150);
    expect(sending.error).toMatchObject({
      code: 'TIMEOUT',
      maybeDelivered: false,
      message: expect.stringMatching(/consumers .* exchange 'orders' .* not set up within 100 ms/),
    });
  });
});
