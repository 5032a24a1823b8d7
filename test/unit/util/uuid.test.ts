import { describe, expect, it } from 'vitest';
import { uuid } from '../../../src/util/uuid.js';

describe('uuid', () => {
  it('makes UUIDs of version 4, none twice', () => {
    const all = Array.from({ length: 10_000 }, uuid);

    expect(new Set(all).size).toBe(10_000);
    expect(
      all.filter((it) => !/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/.test(it)),
    ).toEqual([]);
  });

  it('makes every digit random, but the version and the variant', () => {
    const all = Array.from({ length: 10_000 }, uuid);
    const seen = Array.from({ length: 36 }, (_, at) => new Set(all.map((it) => it[at])).size);

    expect(seen).toEqual(
      [...'xxxxxxxx-xxxx-1xxx-4xxx-xxxxxxxxxxxx'].map((it) => (it === 'x' ? 16 : it === '4' ? 4 : 1)),
    );
  });
});
