import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyQueues } from '../../../../src/consumer/workers/key-queues.js';
import { FakeSession, received } from '../../support/deliveries.js';
import { tagOf } from '../../support/worker-parts.js';

const message = (deliveryTag: number, session = new FakeSession()) => received({ deliveryTag }, { session });

function takeAll(queues: KeyQueues) {
  const taken = [];
  for (let next = queues.take(); next; next = queues.take()) taken.push(next);
  return taken;
}

describe('the queues of the keys', () => {
  it('let one message of each key go, and pass those of a busy one', () => {
    const queues = new KeyQueues();
    for (const [tag, key] of [
      [1, 'a'],
      [2, 'a'],
      [3, 'b'],
      [4, undefined],
      [5, undefined],
    ] as const)
      queues.add(message(tag), key);

    expect(takeAll(queues).map(tagOf)).toEqual([1, 3, 4, 5]);
    expect(queues.length).toBe(1);
  });

  it('let the next one of a key go when the one before has left', () => {
    const queues = new KeyQueues();
    const first = message(1);
    queues.add(first, 'a');
    queues.add(message(2), 'a');
    queues.take();
    const before = queues.take();
    queues.leave(first);

    expect(before).toBeUndefined();
    expect(takeAll(queues).map(tagOf)).toEqual([2]);
  });

  it('hold the others of a key until its message has run again', () => {
    const queues = new KeyQueues();
    const first = message(1);
    queues.add(first, 'a');
    queues.add(message(2), 'a');
    queues.take();
    const again = first.again();
    queues.again(again, first);
    const taken = takeAll(queues);
    queues.leave(first);
    const after = takeAll(queues);
    queues.leave(again);

    expect(taken).toEqual([again]);
    expect(after).toEqual([]);
    expect(takeAll(queues).map(tagOf)).toEqual([2]);
  });

  it('forget a lost session, and a key that it had held up is free', () => {
    const queues = new KeyQueues();
    const [lost, live] = [new FakeSession(), new FakeSession()];
    const first = message(1, lost);
    queues.add(first, 'a');
    queues.add(message(2, lost), 'a');
    queues.take();
    queues.add(message(1, live), 'a');
    queues.dropSession(lost.asSession);
    queues.leave(first);

    expect(takeAll(queues).map(({ session }) => session)).toEqual([live]);
    expect(queues.length).toBe(0);
  });

  it('give up what was not taken, in order of delivery, and keep the key of what runs', () => {
    const queues = new KeyQueues();
    const running = message(1);
    queues.add(running, 'a');
    queues.take();
    queues.add(message(2), 'a');
    queues.add(message(3), 'b');
    queues.add(message(4), 'a');
    const drained = queues.drain();
    queues.add(message(5), 'a');
    const meanwhile = queues.take();
    queues.leave(running);

    expect(drained.map(tagOf)).toEqual([2, 3, 4]);
    expect(meanwhile).toBeUndefined();
    expect(takeAll(queues).map(tagOf)).toEqual([5]);
  });

  it('keep the order of each key and one message of it at a time, whatever happens in between', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), key: fc.integer({ min: 0, max: 3 }) }),
      fc.record({ kind: fc.constantFrom('take' as const, 'leave' as const, 'again' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queues = new KeyQueues();
        const keys: number[] = [];
        const running: ReturnType<typeof message>[] = [];
        const lastOf = new Map<number, number>();
        const keyOf = (it: ReturnType<typeof message>) => keys[tagOf(it) - 1] as number;
        const take = () => {
          const taken = queues.take();
          if (!taken) return;
          expect(running.map(keyOf)).not.toContain(keyOf(taken));
          expect(tagOf(taken)).toBeGreaterThanOrEqual(lastOf.get(keyOf(taken)) ?? 0);
          lastOf.set(keyOf(taken), tagOf(taken));
          running.push(taken);
        };
        for (const it of steps) {
          if (it.kind === 'add') queues.add(message(keys.push(it.key)), it.key);
          else if (it.kind === 'take') take();
          else {
            const ended = running.shift();
            if (ended && it.kind === 'leave') queues.leave(ended);
            else if (ended) queues.again(ended.again(), ended);
          }
        }
        while (queues.length > 0 || running.length > 0) {
          for (const ended of running.splice(0)) queues.leave(ended);
          take();
        }
        for (const [key, last] of lastOf) expect(last).toBe(keys.lastIndexOf(key) + 1);
      }),
    );
    expect.hasAssertions();
  });
});
