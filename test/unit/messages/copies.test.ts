import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { DeadLetter } from '../../../src/consumer/thrown-verdicts.js';
import { queue } from '../../../src/contracts/queue.js';
import { TimeoutError, ValidationError } from '../../../src/errors.js';
import { attemptOf } from '../../../src/messages/attempt.js';
import { deadLetterCopy, replayCopy, retryCopy } from '../../../src/messages/copies.js';
import { checkHeaders } from '../../../src/messages/headers.js';
import type { Delivery } from '../../../src/transport/port.js';
import { delivery, received } from '../support/deliveries.js';

const emails = queue('emails', z.object({ to: z.string() }));
const failedAt = new Date('2030-01-02T03:04:05.678Z');
const body = Buffer.from('{"to": 1}');

function deadLetter(
  properties: Delivery['properties'],
  error: unknown = new Error('boom'),
  withoutHeaders = false,
) {
  const message = received({ properties: { messageId: 'm1', ...properties }, content: body });
  return deadLetterCopy(message, emails, error, failedAt, { withoutHeaders });
}

function headersOf(properties: Delivery['properties'], error?: unknown): Record<string, unknown> {
  return deadLetter(properties, error).properties.headers as Record<string, unknown>;
}

const errorText = (error: unknown) => headersOf({}, error)['leveret-error'] as string;
const bytes = (text: unknown) => Buffer.byteLength(text as string);

describe('a dead letter', () => {
  it('goes to the dead-letter queue, with its body as it was, and must arrive', () => {
    expect(deadLetter({})).toMatchObject({
      exchange: '',
      routingKey: 'emails.dead',
      mandatory: true,
      content: body,
    });
  });

  it('says what failed, where, when and how often', () => {
    const headers = headersOf({ headers: { 'leveret-attempt': 4 } });

    expect(headers).toEqual({
      'leveret-error': 'Error: boom',
      'leveret-attempt': 4,
      'leveret-queue': 'emails',
      'leveret-failed-at': '2030-01-02T03:04:05.678Z',
    });
  });

  it('keeps its id and what its sender said of it, and lives on', () => {
    const properties = {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      priority: 3,
      correlationId: 'c1',
      replyTo: 'answers',
      messageId: 'm7',
      timestamp: 1_700_000_000,
      type: 'email.created',
      appId: 'shop',
    };

    expect(deadLetter(properties).properties).toMatchObject({ ...properties, deliveryMode: 2 });
  });

  it('does not expire, and is not sent in the name of its sender', () => {
    const { properties } = deadLetter({ expiration: '1000', userId: 'ada', deliveryMode: 1 });

    expect(properties).not.toHaveProperty('expiration');
    expect(properties).not.toHaveProperty('userId');
    expect(properties.deliveryMode).toBe(2);
  });

  it('leaves out properties that another client wrote in a wrong type', () => {
    const { properties } = deadLetter({ priority: '3', correlationId: 5, timestamp: 'now', type: {} });

    expect(properties).toMatchObject({ priority: undefined, correlationId: undefined, timestamp: undefined });
    expect(properties.type).toBeUndefined();
  });

  it.each([undefined, '', 5])(
    'gets no id when it has %o, and is told by a header when it comes back',
    (messageId) => {
      const { properties } = deadLetter({ messageId });

      expect(properties.messageId).toBeUndefined();
      expect(properties.headers?.['leveret-return-id']).toMatch(/^[\da-f]{8}-/);
    },
  );

  it("keeps its sender's headers, without those of the server and those that would route it again", () => {
    const headers = headersOf({
      headers: {
        tenant: 'a',
        'x-death': [{ count: 1 }],
        'x-mine': 1,
        'x-first-death-queue': 'q',
        'x-last-death-reason': 'expired',
        'x-delivery-count': 2,
        'x-acquired-count': 2,
        CC: ['other'],
        BCC: ['more'],
      },
    });

    expect(Object.keys(headers).toSorted()).toEqual([
      'leveret-attempt',
      'leveret-error',
      'leveret-failed-at',
      'leveret-queue',
      'tenant',
      'x-mine',
    ]);
  });

  it('keeps what other clients write as dates, decimals and large fractions, in their types', () => {
    const dueAt = { '!': 'timestamp', value: 1_800_000_000 };
    const price = { '!': 'decimal', value: { places: 2, digits: 4_999 } };
    const headers = headersOf({ headers: { dueAt, price, deep: { er: [dueAt, { price }] }, far: -1e300 } });

    expect(headers).toMatchObject({ dueAt, price, deep: { er: [dueAt, { price }] } });
    expect(headers.far).toEqual({ '!': 'double', value: -1e300 });
    expect(headers).not.toHaveProperty('leveret-headers-dropped');
  });

  it('leaves out the one header that is too large to copy, and names it', () => {
    const headers = headersOf({ headers: { huge: 'x'.repeat(61 * 1024), tenant: 'a' } });

    expect(headers).toMatchObject({
      'leveret-headers-dropped': true,
      'leveret-dropped-headers': ['huge'],
      'leveret-error': 'Error: boom',
      tenant: 'a',
    });
    expect(headers).not.toHaveProperty('huge');
  });

  it('leaves out the largest of headers that are too large together', () => {
    const sizes = { a: 20, b: 25, c: 30, d: 1 };
    const given = Object.entries(sizes).map(([name, size]) => [name, 'x'.repeat(size * 1024)] as const);
    const headers = headersOf({ headers: Object.fromEntries(given) });

    expect(Object.keys(headers)).toEqual(expect.arrayContaining(['a', 'b', 'd']));
    expect(headers['leveret-dropped-headers']).toEqual(['c']);
    expect(checkHeaders(headers)).toHaveProperty('sizeBytes');
  });

  it.each<[string, unknown]>([
    ['no number', Number.NaN],
    ['a type that amqplib does not decode to', { '!': 'int8', value: 1 }],
    ['a date that is none', { '!': 'timestamp', value: 'today' }],
    ['a decimal that is none', { '!': 'decimal', value: { places: 256, digits: 1 } }],
    ['a table with a name that chooses a type', { '!': 'timestamp', value: 1, more: 2 }],
  ])('leaves out alone what cannot be sent again, and names it: %s', (_, wrong) => {
    const headers = headersOf({ headers: { wrong, tenant: 'a' } });

    expect(headers).toMatchObject({ 'leveret-dropped-headers': ['wrong'], tenant: 'a' });
    expect(headers).not.toHaveProperty('wrong');
  });

  it("drops the sender's headers when it is told to", () => {
    const { properties } = deadLetter({ headers: { tenant: 'a' } }, new Error('boom'), true);

    expect(properties.headers).toMatchObject({ 'leveret-headers-dropped': true });
    expect(properties.headers).not.toHaveProperty('tenant');
  });

  it('always has headers that can be sent', () => {
    const error = new ValidationError('x', [{ message: 'm'.repeat(9_000), path: ['p'.repeat(9_000)] }]);
    const headers = headersOf({ headers: { big: 'x'.repeat(55 * 1024) } }, error);

    expect(checkHeaders(headers)).toHaveProperty('sizeBytes');
  });
});

describe('the error of a dead letter', () => {
  class PaymentError extends Error {
    override name = 'PaymentError';
  }

  it.each<[string, unknown, string]>([
    ['an error of a library', new PaymentError('declined'), 'PaymentError: declined'],
    [
      'an error with a code',
      Object.assign(new Error('no route'), { code: 'EHOSTUNREACH' }),
      'EHOSTUNREACH: no route',
    ],
    ['an error with a number for a code', Object.assign(new Error('x'), { code: 5 }), 'Error: x'],
    ['one of ours', new TimeoutError('late'), 'TIMEOUT: late'],
    ['a verdict', new DeadLetter('unknown customer'), 'DeadLetter: unknown customer'],
    ['a text', 'broken', 'Error: broken'],
    ['an object that is no error', { code: 'PGRST116', message: 'no rows' }, 'PGRST116: no rows'],
    ['one that has only a name', { name: 'Abort', message: 'stop' }, 'Abort: stop'],
    ['an error of another realm', runInNewContext('new TypeError("far")'), 'TypeError: far'],
    ['nothing', null, 'Error: null'],
    ['what cannot be shown', Object.create(null), 'Error: an error that cannot be shown'],
  ])('names %s', (_, error, text) => {
    expect(errorText(error)).toBe(text);
  });

  it('is cut to 2 KiB', () => {
    const text = errorText(new Error('x'.repeat(5_000)));

    expect(bytes(text)).toBe(2_048);
    expect(text).toMatch(/^Error: x+…$/);
  });

  it.each([0, 1, 2, 3])('is cut between characters, never within one (%i)', (shift) => {
    const text = errorText(new Error('a'.repeat(shift) + '🐇'.repeat(1_000)));

    expect(bytes(text)).toBeLessThanOrEqual(2_048);
    expect(text).toMatch(/^Error: a*🐇+…$/u);
  });

  it('with half of a character costs no other header', () => {
    const headers = headersOf({ headers: { tenant: 'a' } }, new Error('emoji cut in two: \ud83d'));

    expect(headers).toMatchObject({ tenant: 'a', 'leveret-error': 'Error: emoji cut in two: \ufffd' });
  });

  it('that just fits is not cut', () => {
    const text = errorText(new Error('x'.repeat(2_048 - 'Error: '.length)));

    expect(text.endsWith('x')).toBe(true);
  });

  it('of validation comes with the issues as JSON', () => {
    const issues = [
      { message: 'expected string', path: ['to'] },
      { message: 'wrong', path: ['lines', 0] },
    ];
    const headers = headersOf({}, new ValidationError("the queue 'emails'", issues));

    expect(JSON.parse(headers['leveret-issues'] as string)).toEqual(issues);
    expect(headers['leveret-error']).toContain('INVALID_BODY: Invalid body for the queue');
  });

  it('of validation keeps as many issues as fit into 8 KiB, each cut to 200 bytes', () => {
    const issues = Array.from({ length: 20 }, (_, index) => ({
      message: 'm'.repeat(300),
      path: ['k'.repeat(400), index],
    }));
    const text = headersOf({}, new ValidationError('x', issues))['leveret-issues'];
    const kept = JSON.parse(text as string) as typeof issues;

    expect(bytes(text)).toBeLessThanOrEqual(8_192);
    expect(kept.length).toBeGreaterThan(10);
    expect(kept.map(({ message }) => bytes(message))).toEqual(kept.map(() => 200));
    expect(kept.map(({ path }) => path[1])).toEqual(kept.map((_, index) => index));
  });

  it('of validation keeps none when not even one fits', () => {
    const error = new ValidationError('x', [{ message: 'm', path: ['k'.repeat(10_000)] }]);

    expect(headersOf({}, error)['leveret-issues']).toBe('[]');
  });

  it('of another kind hides the issues of an earlier one', () => {
    const headers = headersOf({}, new ValidationError('q', [{ message: 'old', path: [] }]));

    expect(headers).toHaveProperty('leveret-issues');
    expect(headersOf({ headers })).not.toHaveProperty('leveret-issues');
  });

  it('of another kind has no issues', () => {
    expect(headersOf({})).not.toHaveProperty('leveret-issues');
  });
});

describe('a copy for another attempt', () => {
  const retried = (headers: Record<string, unknown>) =>
    retryCopy(received({ properties: { messageId: 'm1', headers }, content: body }, {}), emails, {
      withoutHeaders: false,
    });

  it('goes to the end of its own queue, with its id and its headers, and one attempt more', () => {
    expect(retried({ tenant: 'a', 'leveret-attempt': 2, 'x-death': [] })).toMatchObject({
      exchange: '',
      routingKey: 'emails',
      mandatory: true,
      content: body,
      properties: {
        messageId: 'm1',
        deliveryMode: 2,
        headers: { tenant: 'a', 'leveret-attempt': 3, 'leveret-attempt-queue': 'emails' },
      },
    });
  });

  it('of a dead letter, whose queue has a consumer too, counts on', () => {
    const copy = retried({ 'leveret-attempt': 5, 'leveret-failed-at': 'then' });
    const again = delivery({ properties: { headers: copy.properties.headers } });

    expect(attemptOf(again, 'emails', 'quorum')).toBe(2);
  });
});

describe('a dead letter that is put back', () => {
  const options = { withoutHeaders: false };
  const replayed = (headers: Record<string, unknown>) =>
    replayCopy(delivery({ properties: { messageId: 'm1', headers } }), emails, options).properties.headers;

  it('differs from the message that it was by when it had failed, and so do its copies', () => {
    const headers = replayed(headersOf({ headers: { tenant: 'a' } })) as Record<string, unknown>;
    const copy = retryCopy(received({ properties: { messageId: 'm1', headers } }, {}), emails, options);
    const replayedAgain = replayed({ ...copy.properties.headers, 'leveret-failed-at': 'later' });

    expect(headers).toEqual({ tenant: 'a', 'leveret-replayed': failedAt.toISOString() });
    expect(copy.properties.headers).toMatchObject(headers);
    expect(replayedAgain).toEqual({ tenant: 'a', 'leveret-replayed': 'later' });
  });

  it('has no such header when the server had dead-lettered it', () => {
    expect(replayed({ tenant: 'a', 'x-death': [] })).toEqual({ tenant: 'a' });
  });
});
