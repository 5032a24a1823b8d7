import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PendingList, PendingSend } from '../../../../src/producer/publisher/pending-send.js';

function pending(name: string, bodyBytes = 0): PendingSend {
  const message = {
    exchange: '',
    routingKey: 'q',
    mandatory: true,
    properties: {},
    content: Buffer.alloc(bodyBytes),
  };
  return new PendingSend(
    message,
    { messageId: name },
    { timeoutMs: 1, signal: undefined, hasOwnId: false },
    () => {},
    () => {},
  );
}

/** The names in the list, forwards and, as a check of the links, backwards. */
function names(list: PendingList): string[] {
  const forwards: PendingSend[] = [];
  for (let it = list.first; it; it = it.next) forwards.push(it);
  const backwards: PendingSend[] = [];
  for (let it = forwards.at(-1); it; it = it.previous) backwards.push(it);
  // One by one: the elements hold each other, and a deep comparison would walk through all of them for each.
  expect(backwards.length).toBe(forwards.length);
  expect(backwards.every((it, index) => it === forwards[forwards.length - 1 - index])).toBe(true);
  return forwards.map(({ receipt }) => receipt.messageId);
}

describe('the list of sends that wait', () => {
  it('keeps them in order', () => {
    const list = new PendingList();
    for (const name of ['a', 'b', 'c']) list.push(pending(name));

    expect(names(list)).toEqual(['a', 'b', 'c']);
  });

  it('takes back at its head what was not confirmed', () => {
    const list = new PendingList();
    list.push(pending('b'));
    list.unshift(pending('a'));

    expect(names(list)).toEqual(['a', 'b']);
  });

  it.each([
    ['first', 0, ['b', 'c']],
    ['middle', 1, ['a', 'c']],
    ['last', 2, ['a', 'b']],
  ])('gives out the %s one', (_, index, left) => {
    const list = new PendingList();
    const all = ['a', 'b', 'c'].map((name) => pending(name));
    for (const it of all) list.push(it);

    list.remove(all[index] as PendingSend);

    expect(names(list)).toEqual(left);
  });

  it('takes one again that it gave out', () => {
    const list = new PendingList();
    const [a, b] = [pending('a'), pending('b')];
    list.push(a);
    list.push(b);
    list.remove(a);
    list.push(a);

    expect(names(list)).toEqual(['b', 'a']);
  });

  it('counts a body, and what is kept around it', () => {
    const list = new PendingList();
    list.push(pending('a', 1_000));
    list.push(pending('b', 0));

    expect({ length: list.length, sizeBytes: list.sizeBytes }).toEqual({
      length: 2,
      sizeBytes: 1_000 + 2 * 512,
    });
  });

  it('does what an array would do', () => {
    const step = fc.record({
      do: fc.constantFrom('push', 'unshift', 'remove'),
      at: fc.nat(),
      bytes: fc.nat(2_000),
    });
    const property = fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
      const list = new PendingList();
      const model: PendingSend[] = [];
      for (const [index, it] of steps.entries()) {
        const one = pending(String(index), it.bytes);
        if (it.do === 'push') {
          list.push(one);
          model.push(one);
        } else if (it.do === 'unshift') {
          list.unshift(one);
          model.unshift(one);
        } else if (model.length > 0) {
          list.remove(model.splice(it.at % model.length, 1)[0] as PendingSend);
        }
        expect(names(list)).toEqual(model.map(({ receipt }) => receipt.messageId));
        expect(list.length).toBe(model.length);
        expect(list.sizeBytes).toBe(model.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
      }
    });

    fc.assert(property, { numRuns: 50 });
  });
});
