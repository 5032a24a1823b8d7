import { describe, expect, it } from 'vitest';
import { decide } from '../../../../src/consumer/settlement/retry-decision.js';
import { DeadLetter, RetryLater } from '../../../../src/consumer/thrown-verdicts.js';
import type { RetryPolicy } from '../../../../src/contracts/types.js';

const policy: RetryPolicy = {
  attempts: 5,
  initialDelayMs: 1_000,
  factor: 2,
  maxDelayMs: 60_000,
  jitter: false,
  retryIf: undefined,
};
const failure = new Error('failed');

interface Case {
  readonly attempt?: number;
  readonly error?: unknown;
  readonly asked?: number;
  readonly chance?: number;
}

function decided(
  overrides: Partial<RetryPolicy>,
  { attempt = 1, error = failure, asked, chance = 0.5 }: Case = {},
) {
  return decide({ ...policy, ...overrides }, { id: 'm1', attempt }, error, asked, () => chance);
}

function delayOf(overrides: Partial<RetryPolicy>, given: Case = {}): number | undefined {
  const decision = decided(overrides, given);
  return decision.kind === 'retry' ? decision.delayMs : undefined;
}

describe('the failure policy', () => {
  it('doubles the delay with each attempt', () => {
    const delays = [1, 2, 3, 4].map((attempt) => delayOf({}, { attempt }));

    expect(delays).toEqual([1_000, 2_000, 4_000, 8_000]);
  });

  it('keeps the delay under its limit', () => {
    expect(delayOf({ attempts: 100 }, { attempt: 60 })).toBe(60_000);
  });

  it('takes delays of up to 60 days', () => {
    const days60 = 60 * 86_400_000;
    expect(delayOf({ initialDelayMs: days60, maxDelayMs: days60 })).toBe(days60);
  });

  it('keeps no delay no delay, however often it was multiplied', () => {
    const delays = [1, 5, 9_999].map((attempt) =>
      delayOf({ initialDelayMs: 0, attempts: 10_000 }, { attempt }),
    );

    expect(delays).toEqual([0, 0, 0]);
  });

  it('draws the delay between nothing and its full length', () => {
    const delays = [0, 0.25, 0.9999].map((chance) => delayOf({ jitter: true }, { attempt: 2, chance }));

    expect(delays).toEqual([0, 500, 1_999]);
  });

  it.each([5, 6, 100])('dead-letters after attempt %i of 5', (attempt) => {
    expect(decided({}, { attempt })).toEqual({
      kind: 'dead-letter',
      because: `attempt ${attempt} of 5 failed`,
    });
  });

  it('dead-letters the first failure when there is one attempt', () => {
    expect(decided({ attempts: 1 }).kind).toBe('dead-letter');
  });

  it('asks retryIf with the error and the message', () => {
    const asked: unknown[] = [];
    const retryIf = (...args: unknown[]) => {
      asked.push(args);
      return true;
    };

    expect(decided({ retryIf }, { attempt: 2 }).kind).toBe('retry');
    expect(asked).toEqual([[failure, { id: 'm1', attempt: 2 }]]);
  });

  it('dead-letters what retryIf refuses', () => {
    expect(decided({ retryIf: () => false })).toEqual({
      kind: 'dead-letter',
      because: "'retryIf' refused another attempt",
    });
  });

  it('tries again when retryIf throws: it has not said no', () => {
    const retryIf = () => {
      throw new Error('a bug');
    };

    expect(decided({ retryIf }).kind).toBe('retry');
  });

  it('gives up what a handler gave up, with attempts left', () => {
    expect(decided({}, { error: new DeadLetter('hopeless') })).toEqual({
      kind: 'dead-letter',
      because: 'the handler gave up on it',
    });
  });

  it('waits as long as RetryLater asks, without jitter', () => {
    expect(delayOf({ jitter: true }, { error: new RetryLater({ delayMs: 123 }), chance: 0 })).toBe(123);
  });

  it('waits as long as the verdict asks', () => {
    expect(delayOf({ jitter: true }, { asked: 0 })).toBe(0);
    expect(delayOf({}, { error: new RetryLater(), asked: 77 })).toBe(77);
  });

  it('takes its own delay when RetryLater names none', () => {
    expect(delayOf({}, { error: new RetryLater(), attempt: 3 })).toBe(4_000);
  });

  it('does not ask retryIf about a handler that wants to try again', () => {
    expect(decided({ retryIf: () => false }, { error: new RetryLater() }).kind).toBe('retry');
  });

  it('ends RetryLater with the attempts', () => {
    expect(decided({}, { attempt: 5, error: new RetryLater({ delayMs: 1 }) }).kind).toBe('dead-letter');
  });

  it.each([undefined, null, 'text', 7, Symbol('s'), Object.create(null)])(
    'takes %s for a failure',
    (error) => {
      expect(decided({}, { error: error as unknown }).kind).toBe('retry');
    },
  );
});
