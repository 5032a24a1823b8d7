import { describe, expect, it } from 'vitest';
import { DeadLetter, isGivenUp, isThrownVerdict, RetryLater } from '../../../src/consumer/thrown-verdicts.js';
import { ConfigurationError } from '../../../src/errors.js';
import { thrownBy } from '../support/track.js';

describe('verdicts that are thrown', () => {
  it('are errors, with a name, a reason and a cause', () => {
    const cause = new Error('cause');
    const verdict = new DeadLetter('unknown customer', { cause });

    expect(verdict).toMatchObject({ name: 'DeadLetter', message: 'unknown customer', cause });
    expect(new RetryLater({ delayMs: 5, cause })).toMatchObject({ name: 'RetryLater', delayMs: 5, cause });
    expect(new DeadLetter().message).not.toBe('');
  });

  it('are recognised when another copy of the package made them', () => {
    const foreign = Object.assign(new Error('gone'), { [Symbol.for('leveret.dead-letter')]: true });

    expect(isGivenUp(foreign)).toBe(true);
    expect(isThrownVerdict(foreign)).toBe(true);
  });

  it.each([-1, 60 * 86_400_000 + 1, Number.NaN, Number.POSITIVE_INFINITY, '5'])(
    'refuse a delay of %s',
    (delayMs) => {
      const error = thrownBy(() => new RetryLater({ delayMs: delayMs as number }));

      expect(error).toBeInstanceOf(ConfigurationError);
      expect(error).toMatchObject({ option: 'delayMs' });
    },
  );

  it('take delays from nothing to 20 minutes', () => {
    expect([0, 1_200_000].map((delayMs) => new RetryLater({ delayMs }).delayMs)).toEqual([0, 1_200_000]);
  });
});
