import { queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  causeOf,
  describeDeadLetter,
  failedQueueOf,
  isDeadLetterOf,
} from '../../../src/dead-letters/entry.js';

const jobs = queue('jobs', z.object({ n: z.number() }), { deliveryLimit: 7 });

const timestamp = (value: number) => ({ '!': 'timestamp', value });
const death = (queueName: string, reason: string, seconds = 1_700_000_000) => ({
  queue: queueName,
  reason,
  count: 1,
  time: timestamp(seconds),
});

/** A letter with these headers. */
const letter = (headers: unknown, content = '{"n":1}') => ({
  properties: { headers, messageId: 'm' } as Record<string, unknown>,
  content: Buffer.from(content),
});

const byConsumer = {
  'leveret-error': 'TypeError: no: really',
  'leveret-attempt': 3,
  'leveret-queue': 'jobs',
  'leveret-failed-at': '2026-01-02T03:04:05.678Z',
};

describe('a letter', () => {
  it('of a consumer says what the consumer wrote', () => {
    expect(describeDeadLetter(jobs, letter(byConsumer))).toEqual({
      id: 'm',
      body: { n: 1 },
      raw: Buffer.from('{"n":1}'),
      headers: {},
      exchange: '',
      routingKey: 'jobs',
      error: { code: 'TypeError', message: 'no: really' },
      attempt: 3,
      queue: 'jobs',
      failedAt: new Date('2026-01-02T03:04:05.678Z'),
    });
  });

  it.each([
    ['expired', 1, /time to live/],
    ['maxlen', 1, /full/],
    ['rejected', 1, /rejected/],
    ['delivery_limit', 8, /delivery limit/],
    ['something new', 1, /'jobs': something new$/],
  ])('of the server says what the server did: %s', (reason, attempt, words) => {
    expect(describeDeadLetter(jobs, letter({ 'x-death': [death('jobs', reason)] }))).toMatchObject({
      error: { code: reason, message: expect.stringMatching(words) },
      attempt,
      queue: 'jobs',
      failedAt: new Date(1_700_000_000_000),
    });
  });

  it('has the headers of its sender, and says where that sent it', () => {
    const headers = {
      ...byConsumer,
      tenant: 'acme',
      'leveret-exchange': 'events',
      'leveret-routing-key': 'eu.created',
    };
    expect(describeDeadLetter(jobs, letter(headers))).toMatchObject({
      headers: { tenant: 'acme' },
      exchange: 'events',
      routingKey: 'eu.created',
    });
    const bound = { ...death('jobs', 'expired'), exchange: 'events', 'routing-keys': ['eu.created'] };
    const expired = describeDeadLetter(jobs, letter({ tenant: 'acme', 'x-death': [bound] }));
    expect(expired.headers).toEqual({ tenant: 'acme' });
    expect(expired).toMatchObject({ exchange: 'events', routingKey: 'eu.created' });
  });

  it.each([{ exchange: 5 }, { exchange: 'events', 'routing-keys': 'x' }, { 'routing-keys': [] }])(
    'whose server does not say where it was sent to was sent to its queue: %o',
    (odd) => {
      const headers = { 'x-death': [{ ...death('jobs', 'expired'), ...odd }] };
      expect(describeDeadLetter(jobs, letter(headers))).toMatchObject({ exchange: '', routingKey: 'jobs' });
    },
  );

  it('that another tool put back without a change, and the server dead-lettered then, says the last', () => {
    const both = {
      ...byConsumer,
      'leveret-issues': '[{"path":[],"message":"x"}]',
      'x-death': [death('jobs', 'expired')],
    };
    const described = describeDeadLetter(jobs, letter(both));
    expect(described).toMatchObject({ error: { code: 'expired' }, failedAt: new Date(1_700_000_000_000) });
    expect(described.issues).toBeUndefined();
  });

  it('that has died before, on its way through other queues, comes from the last', () => {
    const rows = [death('jobs', 'rejected', 1_700_000_005), death('delay', 'expired')];
    const first = { 'x-first-death-queue': 'delay', 'x-first-death-reason': 'expired' };
    expect(failedQueueOf({ ...first, 'x-death': rows })).toBe('jobs');
    const last = { 'x-last-death-queue': 'jobs', 'x-last-death-reason': 'rejected' };
    const moved = { ...first, ...last, 'x-death': [...rows].reverse() };
    expect(failedQueueOf(moved)).toBe('jobs');
    expect(causeOf(moved).code).toBe('rejected');
  });

  it('has the issues that were found, as far as they can be read', () => {
    const issues = [{ path: ['a', 0], message: 'wrong' }];
    const withIssues = (text: unknown) =>
      describeDeadLetter(jobs, letter({ ...byConsumer, 'leveret-issues': text })).issues;
    expect(withIssues(JSON.stringify(issues))).toEqual(issues);
    expect(withIssues(JSON.stringify([...issues, { message: 5 }, null]))).toEqual(issues);
    for (const unreadable of ['[{', '{}', 5, undefined]) expect(withIssues(unreadable)).toBeUndefined();
  });

  it('has no body when it cannot be decoded', () => {
    expect(describeDeadLetter(jobs, letter(byConsumer, 'no json')).body).toBeUndefined();
    expect(describeDeadLetter(jobs, letter(byConsumer, '{"n":"any JSON"}')).body).toEqual({ n: 'any JSON' });
  });

  it.each([
    ['no headers', undefined],
    ['null', null],
    ['text', 'x'],
    ['deaths that are none', { 'x-death': 'x' }],
    ['rows that are none', { 'x-death': [null, 5] }],
    ['rows without a word', { 'x-death': [{ time: 'never' }] }],
    [
      'numbers for text',
      { 'leveret-error': 5, 'leveret-queue': 5, 'leveret-failed-at': 'x', 'leveret-attempt': 'x' },
    ],
    ['an attempt that is none', { 'leveret-attempt': -5 }],
  ])('never fails to be described: %s', (_what, headers) => {
    expect(describeDeadLetter(jobs, letter(headers))).toMatchObject({
      error: { code: 'unknown' },
      attempt: 1,
      queue: 'jobs',
      failedAt: undefined,
    });
  });

  it('belongs to the queue that it comes from, or that the dead-letter queue is named after', () => {
    const shared = queue('jobs', z.unknown(), { deadLetter: 'common.dead' });
    expect(isDeadLetterOf(shared, letter({ 'leveret-queue': 'jobs' }))).toBe(true);
    expect(isDeadLetterOf(shared, letter({ 'leveret-queue': 'others' }))).toBe(false);
    expect(isDeadLetterOf(jobs, letter({ 'x-death': [death('others', 'expired')] }))).toBe(false);
    expect(isDeadLetterOf(jobs, letter({}))).toBe(true);
    expect(isDeadLetterOf(shared, letter({}))).toBe(false);
  });
});
