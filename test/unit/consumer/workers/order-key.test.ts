import { describe, expect, it } from 'vitest';
import { laneKeyOf } from '../../../../src/consumer/workers/order-key.js';
import { thrownBy } from '../../support/track.js';

describe('a key to order by', () => {
  it.each(['a', '', 1, 0, Number.NaN, 10n, true, null])('is compared by value: %o', (key) => {
    expect(new Set([laneKeyOf(key), laneKeyOf(key)]).size).toBe(1);
  });

  it('of one kind is no key of another', () => {
    const keys = ['1', 1, 1n, 'true', true, 'null', null];
    expect(new Set(keys.map(laneKeyOf)).size).toBe(keys.length);
  });

  it('is the moment of a date', () => {
    expect(laneKeyOf(new Date(5))).toBe(laneKeyOf(new Date(5)));
    expect(laneKeyOf(new Date(5))).not.toBe(laneKeyOf(new Date(6)));
    expect(laneKeyOf(new Date(5))).not.toBe(laneKeyOf(5));
  });

  it('is none when it is undefined', () => {
    expect(laneKeyOf(undefined)).toBeUndefined();
  });

  it.each([[['north', 1]], [{ id: 1 }], [new Map()], [Buffer.from('a')], [Symbol('a')], [() => 1]])(
    'is refused when each message would have another one: %o',
    (key) => {
      expect(thrownBy(() => laneKeyOf(key))).toMatchObject({
        name: 'ConfigurationError',
        code: 'INVALID_OPTION',
        option: 'orderBy',
        message: expect.stringMatching(/JSON\.stringify/),
      });
    },
  );
});
