import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfirmWindow } from '../../../src/transport/confirm-window.js';

interface Entry {
  readonly name: number;
  readonly sizeBytes: number;
}

const entry = (name: number, sizeBytes = 10): Entry => ({ name, sizeBytes });

const nameOf = (it: Entry | undefined) => it?.name;

function windowOf(count: number) {
  const window = new ConfirmWindow<Entry>();
  for (let name = 1; name <= count; name++) window.push(entry(name));
  const take = (tag: number, multiple = false) => {
    const names: (number | undefined)[] = [];
    window.take(tag, multiple, (pending) => names.push(nameOf(pending)));
    return names;
  };
  return { window, take };
}

describe('a confirm window', () => {
  it('takes out the one that a confirm is about', () => {
    const { window, take } = windowOf(3);

    expect(take(2)).toEqual([2]);
    expect(window.size).toBe(2);
  });

  it('takes out everything up to a multiple confirm, oldest first, and nothing twice', () => {
    const { take } = windowOf(5);
    take(2);

    expect(take(4, true)).toEqual([1, 3, 4]);
  });

  it.each([
    ['not published yet', 9, false],
    ['beyond the last one', 9, true],
    ['beyond the last one by the size of a ring', 65, false],
    ['zero', 0, false],
  ])('survives a tag that is %s', (_, tag, multiple) => {
    const { window, take } = windowOf(2);

    const taken = take(tag, multiple);

    expect(taken).toEqual(multiple ? [1, 2] : []);
    expect(window.size).toBe(2 - taken.length);
  });

  it('passes over a tag that is confirmed twice', () => {
    const { take } = windowOf(2);
    take(1);

    expect(take(1)).toEqual([]);
    expect(take(1, true)).toEqual([]);
  });

  it('adds up the bytes of what it keeps', () => {
    const window = new ConfirmWindow<Entry>();
    window.push(entry(1, 100));
    window.push(entry(2, 50));
    const full = window.sizeBytes;
    window.take(1, false, () => {});

    expect({ full, sizeBytes: window.sizeBytes }).toEqual({ full: 150, sizeBytes: 50 });
  });

  it('finds the oldest one for which a test holds', () => {
    const { window, take } = windowOf(4);
    take(2);

    const found = window.find((pending) => (nameOf(pending) ?? 0) % 2 === 0);

    expect(nameOf(found)).toBe(4);
    expect(window.find(() => false)).toBeUndefined();
  });

  it('gives everything out in order, and is empty', () => {
    const { window, take } = windowOf(200);
    take(7);

    const drained = window.drain().map(nameOf);

    expect(drained).toEqual(
      Array.from({ length: 200 }, (_, index) => index + 1).filter((name) => name !== 7),
    );
    expect({ size: window.size, sizeBytes: window.sizeBytes }).toEqual({ size: 0, sizeBytes: 0 });
  });

  it('goes on counting after it was empty', () => {
    const { window, take } = windowOf(2);
    take(2, true);
    window.push(entry(3));

    expect(take(3)).toEqual([3]);
  });

  it('keeps exactly what a list of tags would keep', () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant('push' as const), count: fc.integer({ min: 1, max: 40 }) }),
      },
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constant('take' as const),
          back: fc.integer({ min: -2, max: 90 }),
          multiple: fc.boolean(),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('drain' as const) }) },
    );
    const property = fc.property(fc.array(step, { maxLength: 100, size: 'max' }), (steps) => {
      const { window, take } = windowOf(0);
      let model: number[] = [];
      let last = 0;
      for (const it of steps) {
        if (it.do === 'push') {
          for (let count = it.count; count > 0; count--) {
            window.push(entry(++last, last));
            model.push(last);
          }
        } else if (it.do === 'take') {
          const tag = last - it.back;
          const isTaken = (name: number) => (it.multiple ? name <= tag : name === tag);
          expect(take(tag, it.multiple)).toEqual(model.filter(isTaken));
          model = model.filter((name) => !isTaken(name));
        } else {
          expect(window.drain().map(nameOf)).toEqual(model);
          model = [];
        }
        expect({
          size: window.size,
          sizeBytes: window.sizeBytes,
          oldest: nameOf(window.find(() => true)),
        }).toEqual({
          size: model.length,
          sizeBytes: model.reduce((sum, name) => sum + name, 0),
          oldest: model[0],
        });
      }
    });

    fc.assert(property, { numRuns: 100 });
  });
});
