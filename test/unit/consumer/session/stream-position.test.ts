import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StreamOffset } from '../../../../src/consumer/options/stream-offset.js';
import { StreamPosition } from '../../../../src/consumer/session/stream-position.js';

const NOW = Date.UTC(2030, 0, 1, 0, 0, 1, 700);
const at = (begin: StreamOffset) => new StreamPosition(begin, () => NOW);

describe('the position in a stream', () => {
  it.each<[StreamOffset, unknown]>([
    ['first', 'first'],
    ['last', 'last'],
    ['next', 'next'],
    [17, 17],
    [new Date(NOW), { '!': 'timestamp', value: Math.floor(NOW / 1_000) }],
  ])('begins at %o', (begin, argument) => {
    expect(at(begin).argument).toEqual(argument);
  });

  it('goes on behind the last one that is handled', () => {
    const [position, reader] = [at('first'), {}];
    position.begun();
    for (const offset of [0, 1]) position.delivered(offset, reader);
    position.handled(0, reader);
    const before = position.argument;
    position.handled(1, reader);

    expect({ before, argument: position.argument, size: position.size }).toEqual({
      before: 1,
      argument: 2,
      size: 0,
    });
  });

  it('goes on at the first one that is not handled, and skips those behind it that are', () => {
    const [position, lost, next] = [at('first'), {}, {}];
    position.begun();
    for (const offset of [4, 5, 6]) position.delivered(offset, lost);
    position.handled(5, lost);
    position.lost(lost);
    const argument = position.argument;
    position.begun();

    expect(argument).toBe(4);
    expect([4, 5, 6, 7].map((offset) => position.delivered(offset, next))).toEqual([true, false, true, true]);
  });

  it('does not begin at the end again when nothing has come before the connection was lost', () => {
    const position = at('next');
    position.begun();

    expect(position.argument).toEqual({ '!': 'timestamp', value: Math.floor(NOW / 1_000) });
  });

  it('counts what is handled after its reader was lost, unless it is at work again', () => {
    const [position, lost, next] = [at('first'), {}, {}];
    position.begun();
    for (const offset of [0, 1]) position.delivered(offset, lost);
    position.lost(lost);
    position.handled(0, lost);
    position.begun();
    const again = position.delivered(1, next);
    position.handled(1, lost);

    expect(again).toBe(true);
    expect(position.argument).toBe(1);
  });

  it('keeps a message that is at work from the same reader, and gives it to another one', () => {
    const [position, reader, other] = [at('first'), {}, {}];
    position.begun();
    position.delivered(0, reader);

    expect(position.delivered(0, reader)).toBe(false);
    expect(position.delivered(0, other)).toBe(true);
  });

  it('gives up what the stream does not keep any more', () => {
    const [position, lost, next] = [at('first'), {}, {}];
    position.begun();
    for (const offset of [0, 1, 2]) position.delivered(offset, lost);
    position.lost(lost);
    position.begun();
    position.delivered(100, next);
    position.handled(100, next);

    expect({ argument: position.argument, size: position.size }).toEqual({ argument: 101, size: 0 });
  });

  it('begins a new stream with its first message', () => {
    const [position, reader] = [at('last'), {}];
    position.begun();
    position.delivered(50, reader);
    position.restart();
    position.handled(50, reader);

    expect({ argument: position.argument, isAccepted: position.delivered(0, reader) }).toEqual({
      argument: 0,
      isAccepted: true,
    });
  });

  it('counts the failed runs of a message until it is handled', () => {
    const [position, lost, next] = [at('first'), {}, {}];
    position.begun();
    for (const offset of [0, 1]) position.delivered(offset, lost);
    position.failed(0);
    position.lost(lost);
    position.begun();
    position.delivered(0, next);
    position.failed(0);
    const before = { first: position.runsOf(0), second: position.runsOf(1) };
    position.handled(0, next);

    expect({ before, after: position.runsOf(0) }).toEqual({ before: { first: 2, second: 0 }, after: 0 });
  });

  it('skips nothing and remembers little, whatever is lost in between', () => {
    const PREFETCH = 4;
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.constant('deliver' as const) },
      { weight: 4, arbitrary: fc.nat({ max: PREFETCH - 1 }) },
      { weight: 1, arbitrary: fc.constant('lose' as const) },
      { weight: 1, arbitrary: fc.constant('pause' as const) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const position = at('first');
        const handled = new Set<number>();
        let reader = {};
        let cursor = 0;
        let open: number[] = [];
        const begin = () => {
          position.begun();
          cursor = position.argument === 'first' ? 0 : (position.argument as number);
        };
        // The server delivers no more than the prefetch beyond what is acknowledged, which is in order.
        const lowest = () => Math.min(cursor, ...open);
        const deliver = () => {
          if (cursor - lowest() >= PREFETCH) return;
          const offset = cursor++;
          if (!position.delivered(offset, reader)) return;
          expect(handled.has(offset)).toBe(false);
          open.push(offset);
        };
        const handle = (index: number) => {
          const [offset] = open.splice(index % Math.max(1, open.length), 1);
          if (offset === undefined) return;
          handled.add(offset);
          position.handled(offset, reader);
        };
        begin();
        for (const it of steps) {
          if (it === 'deliver') deliver();
          else if (typeof it === 'number') handle(it);
          else {
            if (it === 'lose') {
              position.lost(reader);
              reader = {};
              open = [];
            } else {
              // The unseen messages, which came last, are requeued.
              for (const offset of open.splice(1)) position.missed(offset, reader);
            }
            begin();
          }
          expect(position.size).toBeLessThanOrEqual(2 * PREFETCH);
        }
        while (handled.size < 100) {
          deliver();
          handle(0);
        }
        expect([...handled].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, n) => n));
      }),
    );
  });
});
