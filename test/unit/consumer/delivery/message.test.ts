import { describe, expect, it } from 'vitest';
import { DeadLetter, RetryLater } from '../../../../src/consumer/thrown-verdicts.js';
import { ConfigurationError } from '../../../../src/errors.js';
import { FakeSession, FakeSettler, received } from '../../support/deliveries.js';
import { thrownBy } from '../../support/track.js';

describe('a received message', () => {
  it('shows what its sender said of it', () => {
    const message = received({
      redelivered: true,
      exchange: 'orders',
      routingKey: 'eu.order',
      content: Buffer.from('raw'),
      properties: {
        messageId: 'm1',
        correlationId: 'c1',
        timestamp: 1_700_000_000,
        headers: { tenant: 'a' },
      },
    });

    expect({ ...message.headers }).toEqual({ tenant: 'a' });
    expect(message).toMatchObject({
      id: 'm1',
      correlationId: 'c1',
      timestamp: new Date('2023-11-14T22:13:20.000Z'),
      redelivered: true,
      exchange: 'orders',
      routingKey: 'eu.order',
      attempt: 2,
    });
    expect(Buffer.from(message.raw).toString()).toBe('raw');
  });

  it('shows nothing where its sender said nothing, or wrote another type', () => {
    for (const wrong of [undefined, 5, '', {}]) {
      const message = received({ properties: { messageId: wrong, correlationId: wrong, timestamp: 'now' } });

      expect({ id: message.id, correlationId: message.correlationId, timestamp: message.timestamp }).toEqual({
        id: undefined,
        correlationId: undefined,
        timestamp: undefined,
      });
    }
  });

  it.each([1e15, 2 ** 63, Number.NaN, -1e300])('shows no time where its sender wrote %s', (timestamp) => {
    expect(received({ properties: { timestamp } }).timestamp).toBeUndefined();
  });

  it('keeps headers of the server, and its own count, to itself', () => {
    const { headers } = received({
      properties: { headers: { tenant: 'a', 'x-delivery-count': 1, 'leveret-attempt': 2 } },
    });

    expect({ ...headers }).toEqual({ tenant: 'a' });
    expect(Object.getPrototypeOf(headers)).toBeNull();
  });

  it('still knows its attempt after its headers were looked at', () => {
    const message = received({ properties: { headers: { 'leveret-attempt': 3 } } });

    expect({ headers: Object.keys(message.headers), attempt: message.attempt }).toEqual({
      headers: [],
      attempt: 3,
    });
  });

  it('counts attempts as its kind of queue does', () => {
    const headers = { 'x-acquired-count': 1 };
    const attempts = (['quorum', 'classic'] as const).map(
      (type) =>
        received({ redelivered: true, properties: { headers } }, { session: new FakeSession(type) }).attempt,
    );

    expect(attempts).toEqual([1, 2]);
  });
});

describe('the verdict on a message', () => {
  it('goes to the settler', () => {
    const settler = new FakeSettler();
    received({ deliveryTag: 1 }, { settler }).ack();
    received({ deliveryTag: 2 }, { settler }).retry({ delayMs: 5 });
    received({ deliveryTag: 3 }, { settler }).deadLetter('hopeless');
    received({ deliveryTag: 4 }, { settler }).requeue();

    expect(settler.verdicts).toEqual([
      { tag: 1, kind: 'ack' },
      { tag: 2, kind: 'retry', delayMs: 5, error: new RetryLater() },
      { tag: 3, kind: 'dead-letter', error: new DeadLetter('hopeless'), reason: 'hopeless' },
      { tag: 4, kind: 'requeue' },
    ]);
  });

  it('counts once: a later one returns false and does nothing', () => {
    const settler = new FakeSettler();
    const message = received({}, { settler });
    const answers = {
      ack: message.ack(),
      retry: message.retry(),
      deadLetter: message.deadLetter(),
      requeue: message.requeue(),
      ackAgain: message.ack(),
    };

    expect(answers).toEqual({ ack: true, retry: false, deadLetter: false, requeue: false, ackAgain: false });
    expect(settler.short).toEqual(['ack 1']);
  });

  it('returns false when the delivery is lost, and cannot be tried again', () => {
    const settler = new FakeSettler();
    settler.answer = false;
    const message = received({}, { settler });
    const first = message.ack();
    settler.answer = true;

    expect({ first, ack: message.ack(), hasVerdict: message.hasVerdict }).toEqual({
      first: false,
      ack: false,
      hasVerdict: true,
    });
  });

  it.each([{ delayMs: -1 }, { delayMs: '5' }, { delayMs: 60 * 86_400_000 + 1 }, { delay: 5 }, 5])(
    'is not taken with wrong options: %o',
    (options) => {
      const settler = new FakeSettler();
      const message = received({}, { settler });
      const error = thrownBy(() => message.retry(options as never));

      expect(error).toBeInstanceOf(ConfigurationError);
      expect({ short: settler.short, hasVerdict: message.hasVerdict }).toEqual({
        short: [],
        hasVerdict: false,
      });
    },
  );
});

describe('the signal of a message', () => {
  const lost = new Error('lost');

  it('aborts with the reason', () => {
    const message = received();
    const { signal } = message;
    const before = signal.aborted;
    message.abort(lost);

    expect({ before, aborted: signal.aborted, reason: signal.reason }).toEqual({
      before: false,
      aborted: true,
      reason: lost,
    });
    expect(message.signal).toBe(signal);
  });

  it('is aborted also when it is asked for afterwards', () => {
    const message = received();
    message.abort(lost);

    expect(message.signal.reason).toBe(lost);
  });

  it('keeps the first reason', () => {
    const message = received();
    message.abort(lost);
    message.abort(new Error('later'));

    expect(message.signal.reason).toBe(lost);
  });
});
