import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Backoff } from '../../../../src/transport/connection/backoff.js';

const policy = { initialDelayMs: 100, refusedMaxDelayMs: 1_000, maxDelayMs: 30_000, factor: 2 };
/** As much chance as there is: the delay is its bound. */
const unlucky = () => 1 - Number.EPSILON;
const REFUSED = { reachedServer: false };
const FAILED = { reachedServer: true };

function delays(count: number, next: () => number): number[] {
  return Array.from({ length: count }, next);
}

describe('a backoff', () => {
  it('doubles the bound after each failure of a server that answers, up to its limit', () => {
    const backoff = new Backoff(policy, unlucky);

    expect(delays(11, () => backoff.afterFailure(FAILED))).toEqual([
      99, 199, 399, 799, 1_599, 3_199, 6_399, 12_799, 25_599, 29_999, 29_999,
    ]);
  });

  it('stays under half of the limit where the port refuses, which leaves the rest to the attempt', () => {
    const backoff = new Backoff(policy, unlucky);

    expect(delays(6, () => backoff.afterFailure(REFUSED))).toEqual([99, 199, 399, 499, 499, 499]);
  });

  it('draws each delay between nothing and its bound', () => {
    const chances = [0, 0.25, 0.999];
    const drawn = chances.map((chance) => new Backoff(policy, () => chance).afterFailure(FAILED));

    expect(drawn).toEqual([0, 25, 99]);
  });

  it('begins anew after 30 s of stability', () => {
    const backoff = new Backoff(policy, unlucky);
    for (let failure = 0; failure < 6; failure++) backoff.afterFailure(FAILED);

    expect(backoff.afterLoss(30_000)).toBe(99);
  });

  it('goes on growing when a connection is lost before that', () => {
    const backoff = new Backoff(policy, unlucky);

    expect(delays(5, () => backoff.afterLoss(29_999))).toEqual([99, 199, 399, 799, 1_599]);
  });

  it('counts a server that was found down as another one', () => {
    const backoff = new Backoff(policy, unlucky);
    for (let failure = 0; failure < 6; failure++) backoff.afterFailure(FAILED);
    backoff.afterFailure(REFUSED);

    expect(backoff.afterFailure(FAILED)).toBe(99);
  });

  it('forgets that the port was closed once a connection was open', () => {
    const backoff = new Backoff(policy, unlucky);
    for (let failure = 0; failure < 6; failure++) backoff.afterFailure(REFUSED);
    backoff.afterLoss(10);

    expect(backoff.afterFailure(REFUSED)).toBe(99);
  });

  it('never leaves its bounds, whatever the policy, the chance and the history', () => {
    const duration = fc.integer({ min: 1, max: 2 ** 31 - 1 });
    const event = fc.oneof(
      fc.constant({ kind: 'refused' as const }),
      fc.constant({ kind: 'failed' as const }),
      fc.record({ kind: fc.constant('lost' as const), openForMs: fc.nat(60_000) }),
    );
    const given = fc.record({
      initialDelayMs: duration,
      refusedMaxDelayMs: duration,
      maxDelayMs: duration,
      factor: fc.double({ min: 1, max: 100, noNaN: true }),
    });
    const property = fc.property(
      given,
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.array(event, { minLength: 1, maxLength: 200, size: 'max' }),
      (bounds, chance, history) => {
        const backoff = new Backoff(bounds, () => chance);
        for (const it of history) {
          const delayMs =
            it.kind === 'lost'
              ? backoff.afterLoss(it.openForMs)
              : backoff.afterFailure({ reachedServer: it.kind === 'failed' });
          const limitMs = it.kind === 'refused' ? bounds.refusedMaxDelayMs : bounds.maxDelayMs;
          expect(delayMs >= 0 && delayMs <= limitMs, `${delayMs} lies between 0 and ${limitMs}`).toBe(true);
        }
      },
    );

    fc.assert(property, { numRuns: 100 });
  });
});
