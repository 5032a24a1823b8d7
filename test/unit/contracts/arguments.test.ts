import { exchange, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const refused = [
  ['a bigint', 1n],
  ['a function', () => 1],
  ['an infinite number', Number.POSITIVE_INFINITY],
  ['a date', new Date(0)],
] as const;

describe.each(refused)('%s, which cannot be encoded', (_what, value) => {
  it('is refused as an argument of a queue', () => {
    const make = () => queue('emails', z.string(), { arguments: { 'x-custom': value } });
    expect(make).toThrow(/option 'arguments' must be an object whose 'x-custom' is /);
  });

  it('is refused as an argument of an exchange and of a binding', () => {
    const make = () => exchange('orders', z.string(), { arguments: { nested: { deep: value } } });
    expect(make).toThrow(/option 'arguments' must be an object whose 'nested\.deep' is /);
    const orders = exchange('orders', z.string(), { type: 'headers' });
    expect(() => orders.queue('billing', { region: value })).toThrow(/'region' is /);
  });
});
