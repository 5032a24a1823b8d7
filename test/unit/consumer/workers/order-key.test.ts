import { describe, expect, it } from 'vitest';
import { orderKeyOf } from '../../../../src/consumer/workers/order-key.js';
import { thrownBy } from '../../support/track.js';

describe('a key to order by', () => {
  it.each(['a', '', 1, 0, Number.NaN, 10n, true, null])('is compared by value: %o', (key) => {
    expect(new Set([orderKeyOf(key), orderKeyOf(key)]).size).toBe(1);
  });

  it('of one kind is no key of another', () => {
    const keys = ['1', 1, 1n, 'true', true, 'null', null];
    expect(new Set(keys.map(orderKeyOf)).size).toBe(keys.length);
  });

  it('is the moment of a date', () => {
    expect(orderKeyOf(new Date(5))).toBe(orderKeyOf(new Date(5)));
    expect(orderKeyOf(new Date(5))).not.toBe(orderKeyOf(new Date(6)));
    expect(orderKeyOf(new Date(5))).not.toBe(orderKeyOf(5));
  });

  it('is none when it is undefined', () => {
    expect(orderKeyOf(undefined)).toBeUndefined();
  });

  it.each([[['north', 1]], [{ id: 1 }], [new Map()], [Buffer.from('a')], [Symbol('a')], [() => 1]])(
    'is refused when each message would have another one: %o',
    (key) => {
      expect(thrownBy(() => orderKeyOf(key))).toMatchObject({
        name: 'ConfigurationError',
        code: 'INVALID_OPTION',
        option: 'orderBy',
        message: expect.stringMatching(/JSON\.stringify/),
      });
    },
  );
});
