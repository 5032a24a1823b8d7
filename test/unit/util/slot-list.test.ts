import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlotList } from '../../../src/util/slot-list.js';

describe('a slot list', () => {
  it('holds what a set would hold', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(9)), { maxLength: 60 }), (steps) => {
        const items = Array.from({ length: 10 }, (_, name) => ({ name, listSlot: -1 }));
        const list = new SlotList<(typeof items)[number]>();
        const set = new Set<(typeof items)[number]>();
        for (const [adds, name] of steps) {
          const item = items[name] as (typeof items)[number];
          if (adds && !set.has(item)) {
            list.add(item);
            set.add(item);
          } else expect(list.delete(item)).toBe(set.delete(item));
          expect(list.size).toBe(set.size);
          expect(new Set(list)).toEqual(set);
          for (const it of items) expect(list.has(it)).toBe(set.has(it));
        }
      }),
    );
  });

  it('can be emptied while it is gone through', () => {
    const list = new SlotList<{ listSlot: number }>();
    for (let at = 0; at < 5; at++) list.add({ listSlot: -1 });
    let seen = 0;
    for (const item of list) {
      list.delete(item);
      seen++;
    }
    expect({ seen, left: list.size }).toEqual({ seen: 5, left: 0 });
  });
});
