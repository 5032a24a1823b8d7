import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digitAt, LEVELS, levelCountOf, unitsOf } from '../../../src/delay/levels.js';
import { MAX_DELAY_MS } from '../../../src/util/limits.js';

/** The waits of a delay, the longest first. */
function waits(delayMs: number): number[] {
  const units = unitsOf(delayMs);
  return Array.from(
    { length: levelCountOf(units) },
    (_, at) => LEVELS[at]?.queues[digitAt(units, at) - 1]?.ttlMs ?? 0,
  )
    .filter((ttlMs) => ttlMs > 0)
    .toReversed();
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, it) => total + it, 0);

describe('a delay', () => {
  it.each([
    [0, []],
    [-5, []],
    [1, [63]],
    [62, [63]],
    [62.6, [125]],
    [100, [125]],
    [300, [250, 63]],
    [1_000, [1_000]],
    [1_001, [1_000, 63]],
    [3_000, [3_000]],
    [5_000, [4_000, 1_000]],
    [60_000, [48_000, 12_000]],
  ])('of %d ms is a sum of waits', (delayMs, expected) => {
    expect(waits(delayMs)).toEqual(expected);
  });

  it('is never shorter than asked for, and less than 75 ms longer', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: MAX_DELAY_MS, noNaN: true }), (delayMs) => {
        const over = sum(waits(delayMs)) - delayMs;
        expect(over).toBeGreaterThanOrEqual(0);
        expect(over).toBeLessThan(75);
      }),
    );
  });

  it('of up to 16 seconds has four waits at most', () => {
    for (let delayMs = 1; delayMs <= 16_000; delayMs++) expect(waits(delayMs).length).toBeLessThanOrEqual(4);
  });
});

describe('the levels', () => {
  it('hold 60 days, and no time that the server refuses', () => {
    expect(levelCountOf(unitsOf(MAX_DELAY_MS))).toBe(LEVELS.length);
    const highest = unitsOf(MAX_DELAY_MS);
    expect(digitAt(highest, LEVELS.length - 1)).toBe(1);
    expect(LEVELS.at(-1)?.queues[0]?.ttlMs).toBeLessThan(2 ** 32);
  });
});
