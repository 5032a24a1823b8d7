import { describe, expect, it } from 'vitest';
import type { QueueType } from '../../../src/contracts/types.js';
import { attemptOf } from '../../../src/messages/attempt.js';
import { delivery } from '../support/deliveries.js';

interface Row {
  readonly why: string;
  readonly queue: QueueType;
  readonly redelivered: boolean;
  readonly headers?: Record<string, unknown> | undefined;
  readonly attempt: number;
}

const first = { redelivered: false };
const again = { redelivered: true };

const table: Row[] = [
  // Before 4.3 the server counts every return.
  { why: 'a first delivery', queue: 'quorum', ...first, attempt: 1 },
  {
    why: 'the first return, before 4.3',
    queue: 'quorum',
    ...again,
    headers: { 'x-delivery-count': 1 },
    attempt: 2,
  },
  {
    why: 'the fourth return, before 4.3',
    queue: 'quorum',
    ...again,
    headers: { 'x-delivery-count': 4 },
    attempt: 5,
  },
  // 4.3 counts failed runs, and every delivery beside them.
  {
    why: 'given back unseen, 4.3',
    queue: 'quorum',
    ...again,
    headers: { 'x-acquired-count': 3 },
    attempt: 1,
  },
  {
    why: 'failed twice and given back once, 4.3',
    queue: 'quorum',
    ...again,
    headers: { 'x-delivery-count': 2, 'x-acquired-count': 3 },
    attempt: 3,
  },
  {
    why: 'given back although nothing failed, 4.3',
    queue: 'quorum',
    ...again,
    headers: { 'x-delivery-count': 0, 'x-acquired-count': 1 },
    attempt: 1,
  },
  // Where the server keeps no count.
  { why: 'redelivered without a count', queue: 'quorum', ...again, attempt: 2 },
  { why: 'a first delivery', queue: 'classic', ...first, attempt: 1 },
  { why: 'redelivered', queue: 'classic', ...again, attempt: 2 },
  {
    why: 'redelivered, with a count that is not its own',
    queue: 'classic',
    ...again,
    headers: { 'x-delivery-count': 9 },
    attempt: 2,
  },
  {
    why: 'redelivered, with an acquired count',
    queue: 'classic',
    ...again,
    headers: { 'x-acquired-count': 9 },
    attempt: 2,
  },
  { why: 'redelivered', queue: 'stream', ...again, attempt: 2 },
  // What the publisher, or the queue that dead-lettered it, left there.
  {
    why: 'a first delivery with the count of another queue',
    queue: 'quorum',
    ...first,
    headers: { 'x-delivery-count': 5 },
    attempt: 1,
  },
  {
    why: 'a first delivery with an acquired count',
    queue: 'quorum',
    ...first,
    headers: { 'x-acquired-count': 5 },
    attempt: 1,
  },
  // A copy carries the attempt.
  {
    why: 'a copy for the third attempt',
    queue: 'classic',
    ...first,
    headers: { 'leveret-attempt': 3 },
    attempt: 3,
  },
  {
    why: 'that copy, redelivered',
    queue: 'classic',
    ...again,
    headers: { 'leveret-attempt': 3 },
    attempt: 4,
  },
  {
    why: 'a copy that came back twice',
    queue: 'quorum',
    ...again,
    headers: { 'leveret-attempt': 3, 'x-delivery-count': 2 },
    attempt: 5,
  },
  {
    why: 'a copy that was given back unseen, 4.3',
    queue: 'quorum',
    ...again,
    headers: { 'leveret-attempt': 3, 'x-acquired-count': 2 },
    attempt: 3,
  },
  {
    why: "a dead letter, with the attempts of another queue's handler",
    queue: 'quorum',
    ...first,
    headers: { 'leveret-attempt': 5, 'leveret-failed-at': '2030-01-01T00:00:00.000Z' },
    attempt: 1,
  },
  {
    why: 'that dead letter, returned once',
    queue: 'quorum',
    ...again,
    headers: { 'leveret-attempt': 5, 'leveret-failed-at': 'then', 'x-delivery-count': 1 },
    attempt: 2,
  },
  // What other clients may write.
  { why: 'an attempt of nought', queue: 'classic', ...first, headers: { 'leveret-attempt': 0 }, attempt: 1 },
];

const nonsense: unknown[] = [
  '7',
  -1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 60,
  true,
  null,
  [2],
  {},
];

describe('the attempt that a delivery is', () => {
  it.each(table)('is $attempt for $why ($queue queue)', ({ queue, redelivered, headers, attempt }) => {
    expect(attemptOf(delivery({ redelivered, properties: { headers } }), 'jobs', queue)).toBe(attempt);
  });

  it.each(nonsense)('ignores a count of %j', (count) => {
    const headers = { 'leveret-attempt': count, 'x-delivery-count': count };

    expect(attemptOf(delivery({ properties: { headers } }), 'jobs', 'quorum')).toBe(1);
    expect(attemptOf(delivery({ redelivered: true, properties: { headers } }), 'jobs', 'quorum')).toBe(2);
  });

  it('ignores counts that headers inherit', () => {
    const headers = Object.create({ 'leveret-attempt': 9 }) as Record<string, unknown>;

    expect(attemptOf(delivery({ properties: { headers } }), 'jobs', 'quorum')).toBe(1);
  });
});
