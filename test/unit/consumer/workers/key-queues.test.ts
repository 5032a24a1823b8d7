import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyQueues } from '../../../../src/consumer/workers/key-queues.js';
import { FakeSession, received } from '../../support/deliveries.js';
import { tagOf } from '../../support/handler-bench.js';

const message = (deliveryTag: number, session = new FakeSession()) => received({ deliveryTag }, { session });

function takeAll(lanes: KeyQueues) {
  const taken = [];
  for (let next = lanes.take(); next; next = lanes.take()) taken.push(next);
  return taken;
}

describe('lanes', () => {
  it('let one message of each key go, and pass those of a busy one', () => {
    const lanes = new KeyQueues();
    for (const [tag, key] of [
      [1, 'a'],
      [2, 'a'],
      [3, 'b'],
      [4, undefined],
      [5, undefined],
    ] as const)
      lanes.add(message(tag), key);

    expect(takeAll(lanes).map(tagOf)).toEqual([1, 3, 4, 5]);
    expect(lanes.length).toBe(1);
  });

  it('let the next one of a key go when the one before has left', () => {
    const lanes = new KeyQueues();
    const first = message(1);
    lanes.add(first, 'a');
    lanes.add(message(2), 'a');
    lanes.take();
    const before = lanes.take();
    lanes.leave(first);

    expect(before).toBeUndefined();
    expect(takeAll(lanes).map(tagOf)).toEqual([2]);
  });

  it('hold the others of a key until its message has run again', () => {
    const lanes = new KeyQueues();
    const first = message(1);
    lanes.add(first, 'a');
    lanes.add(message(2), 'a');
    lanes.take();
    const again = first.again();
    lanes.again(again, first);
    const taken = takeAll(lanes);
    lanes.leave(first);
    const after = takeAll(lanes);
    lanes.leave(again);

    expect(taken).toEqual([again]);
    expect(after).toEqual([]);
    expect(takeAll(lanes).map(tagOf)).toEqual([2]);
  });

  it('forget a lost session, and a key that it had held up is free', () => {
    const lanes = new KeyQueues();
    const [lost, live] = [new FakeSession(), new FakeSession()];
    const first = message(1, lost);
    lanes.add(first, 'a');
    lanes.add(message(2, lost), 'a');
    lanes.take();
    lanes.add(message(1, live), 'a');
    lanes.dropSession(lost.asSession);
    lanes.leave(first);

    expect(takeAll(lanes).map(({ session }) => session)).toEqual([live]);
    expect(lanes.length).toBe(0);
  });

  it('give up what was not taken, in order of delivery, and keep the key of what runs', () => {
    const lanes = new KeyQueues();
    const running = message(1);
    lanes.add(running, 'a');
    lanes.take();
    lanes.add(message(2), 'a');
    lanes.add(message(3), 'b');
    lanes.add(message(4), 'a');
    const drained = lanes.drain();
    lanes.add(message(5), 'a');
    const meanwhile = lanes.take();
    lanes.leave(running);

    expect(drained.map(tagOf)).toEqual([2, 3, 4]);
    expect(meanwhile).toBeUndefined();
    expect(takeAll(lanes).map(tagOf)).toEqual([5]);
  });

  it('keep the order of each key and one message of it at a time, whatever happens in between', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), key: fc.integer({ min: 0, max: 3 }) }),
      fc.record({ kind: fc.constantFrom('take' as const, 'leave' as const, 'again' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const lanes = new KeyQueues();
        const keys: number[] = [];
        const running: ReturnType<typeof message>[] = [];
        const lastOf = new Map<number, number>();
        const keyOf = (it: ReturnType<typeof message>) => keys[tagOf(it) - 1] as number;
        const take = () => {
          const taken = lanes.take();
          if (!taken) return;
          expect(running.map(keyOf)).not.toContain(keyOf(taken));
          expect(tagOf(taken)).toBeGreaterThanOrEqual(lastOf.get(keyOf(taken)) ?? 0);
          lastOf.set(keyOf(taken), tagOf(taken));
          running.push(taken);
        };
        for (const it of steps) {
          if (it.kind === 'add') lanes.add(message(keys.push(it.key)), it.key);
          else if (it.kind === 'take') take();
          else {
            const ended = running.shift();
            if (ended && it.kind === 'leave') lanes.leave(ended);
            else if (ended) lanes.again(ended.again(), ended);
          }
        }
        while (lanes.length > 0 || running.length > 0) {
          for (const ended of running.splice(0)) lanes.leave(ended);
          take();
        }
        for (const [key, last] of lastOf) expect(last).toBe(keys.lastIndexOf(key) + 1);
      }),
    );
    expect.hasAssertions();
  });
});
