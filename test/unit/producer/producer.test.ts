import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { exchange } from '../../../src/contracts/exchange.js';
import { queue } from '../../../src/contracts/queue.js';
import type { Contract } from '../../../src/contracts/types.js';
import {
  ClosedError,
  ConfigurationError,
  MessageTooLargeError,
  ValidationError,
} from '../../../src/errors.js';
import type { QueueProducer } from '../../../src/producer/producer.js';
import type { ProducerOptions } from '../../../src/producer/producer-options.js';
import { Producers } from '../../../src/producer/producers.js';
import type { AnySendOptions } from '../../../src/producer/send-options.js';
import { FakeClock, turn } from '../support/fake-clock.js';
import { FakeConnection } from '../support/fake-connection.js';
import { rejectionOf, thrownBy, track } from '../support/track.js';

const schema = z.object({ to: z.string() });
const emails = queue('emails', schema, { deadLetter: false });
const orders = exchange('orders', schema);
const ada = { to: 'ada' };

let clock: FakeClock;
let connection: FakeConnection;

beforeEach(() => {
  clock = new FakeClock();
  connection = new FakeConnection();
  connection.open();
});

function producerOf(contract: Contract, options: ProducerOptions = {}, maxBodyBytes = 1_000): QueueProducer {
  const producers = new Producers({
    connection: connection.asConnection,
    clock,
    maxBodyBytes,
    setUpOn: () => undefined,
    isClosing: () => false,
    onRestored: async () => {},
  });
  return producers.producer(contract, options);
}

const published = () => connection.links[0]?.publisher.published ?? [];

/** The message that a send with these options makes. */
async function made(contract: Contract, options?: AnySendOptions) {
  void producerOf(contract).send(ada, options);
  await turn();
  const [message] = published();
  if (!message) throw new Error('nothing was published');
  return message;
}

describe('a message to a queue', () => {
  it('is persistent, mandatory and goes to the queue by its name', async () => {
    const message = await made(emails);

    expect(message).toMatchObject({ exchange: '', routingKey: 'emails', mandatory: true });
    expect(message.properties).toEqual({
      contentType: 'application/json',
      deliveryMode: 2,
      messageId: expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/),
      timestamp: Math.floor(clock.wallNow() / 1_000),
    });
    expect(String(message.content)).toBe('{"to":"ada"}');
  });

  it('carries what its options say', async () => {
    const headers = { tenant: 'a', blob: new Uint8Array([1]) };
    const { mandatory, properties } = await made(emails, {
      messageId: 'm1',
      correlationId: 'c1',
      headers,
      priority: 3,
      ttlMs: 1_500,
      mandatory: false,
    });

    expect(mandatory).toBe(false);
    expect(properties).toMatchObject({
      messageId: 'm1',
      correlationId: 'c1',
      headers: { tenant: 'a', blob: Buffer.from([1]) },
      priority: 3,
      expiration: '1500',
    });
  });

  it('does not change with what it was made of', async () => {
    connection = new FakeConnection();
    const headers = { tags: ['a'] };
    const body = { to: 'ada' };
    void producerOf(emails).send(body, { headers });
    headers.tags.push('b');
    body.to = 'eve';
    connection.open();
    await turn();

    expect(published()[0]).toMatchObject({ properties: { headers: { tags: ['a'] } } });
    expect(String(published()[0]?.content)).toBe('{"to":"ada"}');
  });

  it.each([
    ['text', 'text/plain'],
    ['bytes', 'application/octet-stream'],
  ] as const)('says that it is %s', async (codec, contentType) => {
    const body = codec === 'text' ? 'ada' : Buffer.from('ada');
    void producerOf(queue('q', z.any(), { codec, deadLetter: false })).send(body);
    await turn();

    expect(published()[0]).toMatchObject({ properties: { contentType }, content: Buffer.from('ada') });
  });
});

describe('a message to an exchange', () => {
  it('goes there with its routing key, and no queue has to take it', async () => {
    expect(await made(orders, { routingKey: 'eu.new' })).toMatchObject({
      exchange: 'orders',
      routingKey: 'eu.new',
      mandatory: false,
    });
  });

  it('has to be taken when that is asked for', async () => {
    expect(await made(orders, { routingKey: 'eu', mandatory: true })).toMatchObject({ mandatory: true });
  });

  it('needs no routing key where the exchange looks at none', async () => {
    const fanout = exchange('news', schema, { type: 'fanout' });

    expect(await made(fanout)).toMatchObject({ exchange: 'news', routingKey: '' });
  });
});

describe('a send', () => {
  it('resolves with the id that the message has', async () => {
    const sending = track(producerOf(emails).send(ada));
    await turn();
    connection.links[0]?.publisher.confirm(1);
    await turn();

    expect(sending.value).toEqual({ messageId: published()[0]?.properties.messageId });
  });

  it('gives each message an id of its own', async () => {
    const producer = producerOf(emails);
    for (let count = 0; count < 100; count++) void producer.send(ada);
    await turn();

    expect(new Set(published().map(({ properties }) => properties.messageId)).size).toBe(100);
  });

  it('never throws: whatever is wrong is a rejection, and nothing is sent', async () => {
    const producer = producerOf(emails, {}, 10);
    const errors = await Promise.all([
      rejectionOf(producer.send({ to: 5 })),
      rejectionOf(producer.send({ to: 'longer than ten bytes' })),
      rejectionOf(producer.send(ada, { priority: 256 })),
      rejectionOf(producer.send(ada, { headers: { big: 'x'.repeat(61 * 1_024) } })),
    ]);

    expect(errors[0]).toBeInstanceOf(ValidationError);
    expect(errors[1]).toBeInstanceOf(MessageTooLargeError);
    expect(errors[2]).toBeInstanceOf(ConfigurationError);
    expect(errors[3]).toBeInstanceOf(MessageTooLargeError);
    expect(connection.links[0]?.requests).toEqual([]);
  });

  it.each<[string, Contract, object]>([
    ['priority', emails, { priority: -1 }],
    ['priority', emails, { priority: 1.5 }],
    ['messageId', emails, { messageId: '' }],
    ['messageId', emails, { messageId: 'x'.repeat(256) }],
    ['correlationId', emails, { correlationId: 5 }],
    ['headers', emails, { headers: [] }],
    ['headers', emails, { headers: new Map([['trace', 'a']]) }],
    ['headers', emails, { headers: new Headers({ trace: 'a' }) }],
    ['headers', emails, { headers: { ratio: Number.POSITIVE_INFINITY } }],
    ['headers', emails, { headers: { 'x-death': [] } }],
    ['ttlMs', emails, { ttlMs: -1 }],
    ['ttlMs', emails, { ttlMs: 2 ** 32 }],
    ['timeoutMs', emails, { timeoutMs: 0 }],
    ['signal', emails, { signal: 'abort' }],
    ['mandatory', emails, { mandatory: 'yes' }],
    ['persistent', emails, { persistent: true }],
    ['routingKey', emails, { routingKey: 'emails' }],
    ['routingKey', exchange('news', schema, { type: 'fanout' }), { routingKey: '' }],
    ['routingKey', exchange('h', schema, { type: 'headers' }), { routingKey: 'eu' }],
    ['routingKey', orders, {}],
    ['routingKey', orders, { routingKey: 'x'.repeat(256) }],
    ['routingKey', exchange('d', schema, { type: 'direct' }), { priority: 1 }],
  ])('refuses a wrong %s', async (option, contract, options) => {
    const error = await rejectionOf(producerOf(contract).send(ada, options as AnySendOptions));

    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error).toMatchObject({
      option,
      message: expect.stringContaining(`send to the ${contract.kind} '${contract.name}'`),
    });
  });

  it('needs a routing key for a topic exchange, also without any options', async () => {
    expect(await rejectionOf(producerOf(orders).send(ada))).toMatchObject({
      option: 'routingKey',
      message: "send to the exchange 'orders': a topic exchange needs a 'routingKey'",
    });
  });

  it('takes as long as it may, or the producer says', async () => {
    connection = new FakeConnection();
    const producer = producerOf(emails, { timeoutMs: 500 });
    const sends = [track(producer.send(ada)), track(producer.send(ada, { timeoutMs: 2_000 }))];
    await clock.pass(600);
    const first = sends.map(({ state }) => state);
    await clock.pass(2_000);

    expect(first).toEqual(['rejected', 'pending']);
    expect(sends.map(({ state }) => state)).toEqual(['rejected', 'rejected']);
  });
});

describe('a producer', () => {
  it.each([
    ['maxInFlight', 0],
    ['maxInFlight', 65_536],
    ['maxBuffered', 0],
    ['maxBuffered', 1.5],
    ['timeoutMs', 0],
    ['window', 5],
  ])('refuses a wrong %s: %o', (option, value) => {
    expect(thrownBy(() => producerOf(emails, { [option]: value }))).toMatchObject({
      code: 'INVALID_OPTION',
      option,
    });
  });

  it('leaves an exclusive queue to the connection that consumes from it', async () => {
    await made(queue('mine', schema, { type: 'classic', exclusive: true, deadLetter: false }));

    expect(connection.links[0]?.requests).toEqual(['open channel']);
  });

  it('counts what is not settled, and waits for it when it is closed', async () => {
    const producer = producerOf(emails);
    void producer.send(ada);
    const closing = track(producer.close());
    await turn();
    const during = { pending: producer.pending, state: closing.state };
    connection.links[0]?.publisher.confirm(1);
    await turn();

    expect(during).toEqual({ pending: 1, state: 'pending' });
    expect({
      pending: producer.pending,
      state: closing.state,
      isOpen: connection.links[0]?.publisher.isOpen,
    }).toEqual({ pending: 0, state: 'resolved', isOpen: false });
  });

  it('takes nothing more once it is closed, and closes once', async () => {
    const producer = producerOf(emails);
    const promises = [producer.close(), producer.close()];
    await producer[Symbol.asyncDispose]();
    const error = await rejectionOf(producer.send(ada));

    expect(promises[0]).toBe(promises[1]);
    expect(error).toBeInstanceOf(ClosedError);
    expect(error).toMatchObject({
      maybeDelivered: false,
      message: "The producer of the queue 'emails' is closed",
    });
  });
});
