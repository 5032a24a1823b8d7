import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type Deadlined, Deadlines } from '../../../src/util/deadlines.js';
import { FakeClock } from '../support/fake-clock.js';

interface Item extends Deadlined {
  readonly name: string;
  readonly at: number;
}

let clock: FakeClock;
let expired: { name: string; early: number }[];
let deadlines: Deadlines<Item>;

beforeEach(() => {
  clock = new FakeClock();
  expired = [];
  deadlines = new Deadlines<Item>(clock, ({ name, at }) => expired.push({ name, early: at - clock.now() }));
});

function add(name: string, inMs: number): Item {
  const item: Item = { name, at: clock.now() + inMs, bucket: undefined, slot: 0 };
  deadlines.add(item, item.at);
  return item;
}

const names = () => expired.map(({ name }) => name);

describe('deadlines', () => {
  it('pass in their order, each a little late and none early', () => {
    add('c', 300);
    add('a', 5);
    add('b', 70);

    clock.advance(1_000);

    expect(names()).toEqual(['a', 'b', 'c']);
    for (const { early } of expired) {
      expect(early).toBeLessThanOrEqual(0);
      expect(early).toBeGreaterThan(-25);
    }
  });

  it('do not pass before their time', () => {
    add('a', 100);

    clock.advance(99.9);

    expect(names()).toEqual([]);
  });

  it('pass although the timer fired too soon', () => {
    const eager = new FakeClock();
    const setTimeout = eager.setTimeout.bind(eager);
    let early = 3;
    eager.setTimeout = (callback, delayMs) => {
      const timer = setTimeout(callback, delayMs - early);
      early = 0;
      return timer;
    };
    const seen: number[] = [];
    const at = eager.now() + 50;
    new Deadlines<Deadlined>(eager, () => seen.push(eager.now())).add({ bucket: undefined, slot: 0 }, at);

    eager.advance(200);

    expect(seen).toHaveLength(1);
    expect(seen[0]).toBeGreaterThanOrEqual(at);
  });

  it('that lie in the past pass at the next chance, not while they are added', () => {
    add('late', -500);
    const atOnce = names();
    clock.advance(20);

    expect({ atOnce, later: names() }).toEqual({ atOnce: [], later: ['late'] });
  });

  it('are forgotten when they are removed', () => {
    const item = add('a', 40);
    add('b', 40);
    deadlines.remove(item);

    clock.advance(200);

    expect(names()).toEqual(['b']);
  });

  it.each(['ae', 'ea', 'bed', 'aec', 'bca', 'edc'])('of one tick can be removed in the order %s', (order) => {
    const items = new Map([...'abcde'].map((name) => [name, add(name, 40)]));
    for (const name of order) deadlines.remove(items.get(name) as Item);

    clock.advance(200);

    expect(names().toSorted().join('')).toBe([...'abcde'].filter((name) => !order.includes(name)).join(''));
  });

  it('can be removed twice, and after they have passed', () => {
    const item = add('a', 10);
    clock.advance(100);
    deadlines.remove(item);
    deadlines.remove(item);
    add('b', 10);
    clock.advance(100);

    expect(names()).toEqual(['a', 'b']);
  });

  it('that are infinite never pass and arm no timer', () => {
    add('never', Number.POSITIVE_INFINITY);

    expect(clock.armed).toBe(0);
  });

  it('share one timer, which does not keep the process alive', () => {
    for (let index = 0; index < 1_000; index++) add(String(index), 1_000 - index / 2);

    expect(clock.armed).toBe(1);
    expect(clock.unrefs).toBeGreaterThan(0);
  });

  it('leave no timer once all have passed', () => {
    add('a', 10);
    add('b', 500);

    clock.advance(1_000);

    expect(clock.armed).toBe(0);
  });

  it('leave no timer beyond the next tick once all are removed', () => {
    const item = add('a', 10);
    deadlines.remove(item);

    clock.advance(40);

    expect(clock.armed).toBe(0);
  });

  it('of which only one is kept at a time fill and empty no table for each', () => {
    const deletes = vi.spyOn(Map.prototype, 'delete');
    for (let index = 0; index < 1_000; index++) deadlines.remove(add(String(index), 1_000));
    const { length } = deletes.mock.calls;
    deletes.mockRestore();

    expect(length).toBe(0);
  });

  it('pass also when their tick was emptied before', () => {
    deadlines.remove(add('removed', 100));
    clock.advance(50);
    add('kept', 50);

    clock.advance(100);

    expect(names()).toEqual(['kept']);
  });

  it('are all forgotten, with their timer, when they are cleared', () => {
    add('a', 10);
    deadlines.clear();
    const { armed } = clock;
    clock.advance(1_000);

    expect({ armed, passed: names() }).toEqual({ armed: 0, passed: [] });
  });

  it('that were cleared can be removed without harm to later ones', () => {
    const cleared = add('cleared', 10);
    deadlines.clear();
    add('later', 10);
    deadlines.remove(cleared);

    clock.advance(1_000);

    expect(names()).toEqual(['later']);
  });

  it('can be added while others pass', () => {
    const chained: string[] = [];
    const chain = new Deadlines<Item>(clock, (item) => {
      chained.push(item.name);
      if (chained.length < 4)
        chain.add({ ...item, name: `${item.name}+`, bucket: undefined }, clock.now() + 30);
    });
    chain.add({ name: 'a', at: 0, bucket: undefined, slot: 0 }, clock.now() + 30);

    clock.advance(1_000);

    expect(chained).toEqual(['a', 'a+', 'a++', 'a+++']);
    expect(clock.armed).toBe(0);
  });

  it('of which one removes its neighbours leave those alone', () => {
    const items: Item[] = [];
    const seen: string[] = [];
    const all = new Deadlines<Item>(clock, ({ name }) => {
      seen.push(name);
      for (const item of items) all.remove(item);
    });
    for (const name of ['a', 'b', 'c']) {
      const item = { name, at: clock.now() + 10, bucket: undefined, slot: 0 };
      items.push(item);
      all.add(item, item.at);
    }

    clock.advance(1_000);

    expect(seen).toHaveLength(1);
  });

  it('pass exactly once, never early, whatever is added, removed and cleared', () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ do: fc.constant('add' as const), inMs: fc.integer({ min: -30, max: 150 }) }),
      },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), at: fc.nat() }) },
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 80 }) }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const) }) },
    );
    const property = fc.property(fc.array(step, { maxLength: 150, size: 'max' }), (steps) => {
      clock = new FakeClock();
      const kept = new Set<Item>();
      const known: Item[] = [];
      deadlines = new Deadlines<Item>(clock, (item) => {
        if (!kept.delete(item)) throw new Error('it was removed, or has passed already');
        if (item.at > clock.now()) throw new Error(`it passed ${item.at - clock.now()} ms early`);
      });
      for (const [index, it] of steps.entries()) {
        if (it.do === 'add') {
          const item = add(String(index), it.inMs);
          kept.add(item);
          known.push(item);
        } else if (it.do === 'remove' && known.length > 0) {
          // Mostly one that is kept, sometimes one that was removed before or has passed.
          const candidates = kept.size > 0 && it.at % 4 > 0 ? [...kept] : known;
          const item = candidates[it.at % candidates.length] as Item;
          deadlines.remove(item);
          kept.delete(item);
        } else if (it.do === 'wait') {
          clock.advance(it.ms);
          // Up to 30 ms overdue when it was added, and up to 20 ms coarse.
          for (const { at } of kept) if (at < clock.now() - 51) throw new Error('it should have passed');
        } else if (it.do === 'clear') {
          deadlines.clear();
          kept.clear();
        }
      }
      clock.advance(1_000);

      expect(kept.size).toBe(0);
      expect(clock.armed).toBe(0);
    });

    fc.assert(property, { numRuns: 100 });
  });
});
