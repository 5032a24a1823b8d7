import { beforeEach, describe, expect, it } from 'vitest';
import { deferred } from '../../../../src/util/promises.js';
import { turn } from '../../support/fake-clock.js';
import { LoopBench, next } from '../../support/loop-bench.js';
import { rejectionOf, track } from '../../support/track.js';
import { tagOf } from '../../support/worker-parts.js';

let bench: LoopBench;

beforeEach(() => {
  bench = new LoopBench();
});

describe('a loop', () => {
  it('gets every message in order, and acknowledges each when it asks for the next', async () => {
    bench.deliver(1, 2);
    const loop = bench.worker.iterate();
    const first = { tag: await next(loop), short: [...bench.settler.short] };
    const second = { tag: await next(loop), short: [...bench.settler.short] };

    expect({ first, second }).toEqual({ first: { tag: 1, short: [] }, second: { tag: 2, short: ['ack 1'] } });
  });

  it('waits for a message, and acknowledges the one before while it waits', async () => {
    bench.deliver(1);
    const loop = bench.worker.iterate();
    await next(loop);
    const waiting = track(next(loop));
    await turn();
    const before = { state: waiting.state, short: [...bench.settler.short] };
    bench.deliver(2);
    await turn();

    expect({ before, value: waiting.value }).toEqual({
      before: { state: 'pending', short: ['ack 1'] },
      value: 2,
    });
  });

  it('takes nothing out of the buffer ahead', async () => {
    bench.deliver(1, 2, 3);
    await next(bench.worker.iterate());

    expect({ buffered: bench.buffer.length, inFlight: bench.worker.inFlight }).toEqual({
      buffered: 2,
      inFlight: 1,
    });
  });

  it('leaves a verdict alone that its body gave', async () => {
    const [message] = bench.deliver(1, 2);
    const loop = bench.worker.iterate();
    await next(loop);
    message?.deadLetter('hopeless');
    await next(loop);

    expect(bench.settler.short).toEqual(['dead-letter 1']);
  });

  it('does not see what was not admitted', async () => {
    bench = new LoopBench((message) => tagOf(message) !== 2);
    bench.deliver(1, 2, 3);
    const loop = bench.worker.iterate();

    expect({ first: await next(loop), second: await next(loop) }).toEqual({ first: 1, second: 3 });
    expect(bench.settler.short).toEqual(['ack 1']);
  });

  it('lets no message overtake one whose schema is still running for a loop that was left', async () => {
    const admitted = deferred<boolean>();
    bench = new LoopBench((message) => (tagOf(message) === 1 ? admitted.promise : true));
    bench.deliver(1);
    const left = bench.worker.iterate();
    void left.next();
    await left.return?.();
    bench.deliver(2);
    const waiting = track(next(bench.worker.iterate()));
    await turn();
    const before = waiting.state;
    admitted.resolve(true);
    await turn();

    expect({ before, value: waiting.value }).toEqual({ before: 'pending', value: 1 });
  });

  it('takes no further message when it was left while one was refused', async () => {
    const loops: AsyncIterator<unknown>[] = [];
    bench = new LoopBench((message) => {
      // As a listener of `invalid-message` can.
      if (tagOf(message) === 1) void loops[0]?.return?.();
      return tagOf(message) !== 1;
    });
    loops.push(bench.worker.iterate());
    bench.deliver(1, 2);

    expect({ first: await next(loops[0] as AsyncIterator<unknown>), buffered: bench.buffer.length }).toEqual({
      first: undefined,
      buffered: 1,
    });
  });

  it('works with for await', async () => {
    bench.deliver(1, 2, 3);
    const seen: number[] = [];
    for await (const message of bench.worker.iterate()) {
      seen.push(tagOf(message));
      if (seen.length === 2) break;
    }

    expect(seen).toEqual([1, 2]);
    expect(bench.settler.short).toEqual(['ack 1', 'reject 2']);
  });

  it('may ask for several at once: all are acknowledged when it asks again', async () => {
    bench.deliver(1, 2, 3);
    const loop = bench.worker.iterate();
    const both = await Promise.all([next(loop), next(loop)]);
    await next(loop);

    expect(both).toEqual([1, 2]);
    expect(bench.settler.short).toEqual(['ack 1', 'ack 2']);
  });
});

describe('leaving a loop', () => {
  it.each<[string, (loop: AsyncIterableIterator<unknown>) => unknown]>([
    ['break or return', (loop) => loop.return?.()],
    ['a throw', (loop) => rejectionOf(loop.throw?.(new Error('boom')) ?? Promise.resolve())],
  ])(
    'by %s gives the message in hand back as a failed attempt, after deliveries were stopped',
    async (_, leave) => {
      bench.deliver(1);
      const loop = bench.worker.iterate();
      await next(loop);
      const leaving = leave(loop);
      const before = [...bench.settler.short];
      await leaving;

      expect(bench.log).toEqual(['first', 'last']);
      expect({ before, short: bench.settler.short }).toEqual({ before: [], short: ['reject 1'] });
      expect(bench.worker.inFlight).toBe(0);
    },
  );

  it('keeps a message done that has its verdict', async () => {
    const [message] = bench.deliver(1);
    const loop = bench.worker.iterate();
    await next(loop);
    message?.ack();
    await loop.return?.();

    expect(bench.settler.short).toEqual(['ack 1']);
  });

  it('passes on what it was left with', async () => {
    const loop = bench.worker.iterate();
    const other = bench.worker.iterate();

    expect(await loop.return?.('value')).toEqual({ done: true, value: 'value' });
    expect(await rejectionOf(other.throw?.(new Error('boom')) ?? Promise.resolve())).toEqual(
      new Error('boom'),
    );
  });

  it('ends it for good', async () => {
    bench.deliver(1, 2);
    const loop = bench.worker.iterate();
    await next(loop);
    await loop.return?.();
    await loop.return?.();

    expect({ first: await next(loop), second: await next(loop) }).toEqual({
      first: undefined,
      second: undefined,
    });
    expect(bench.settler.short).toEqual(['reject 1']);
    expect(bench.buffer.length).toBe(1);
  });

  it('ends a call of next that waits', async () => {
    const loop = bench.worker.iterate();
    const waiting = track(next(loop));
    await loop.return?.();
    await turn();
    bench.deliver(1);

    expect({ state: waiting.state, value: waiting.value, buffered: bench.buffer.length }).toEqual({
      state: 'resolved',
      value: undefined,
      buffered: 1,
    });
  });

  it('begins nothing when it never asked for a message', async () => {
    await bench.worker.iterate().return?.();

    expect(bench.log).toEqual([]);
  });

  it('does not end the consumer: another loop may begin', async () => {
    bench.deliver(1, 2);
    const loop = bench.worker.iterate();
    await next(loop);
    await loop.return?.();
    const again = bench.worker.iterate();

    expect({ again: await next(again), log: bench.log }).toEqual({
      again: 2,
      log: ['first', 'last', 'first'],
    });
  });
});

describe('several loops', () => {
  it('share the messages, each going to the one that has waited longest', async () => {
    const [one, two] = [bench.worker.iterate(), bench.worker.iterate()];
    const waiting = [track(next(one)), track(next(two))];
    await turn();
    bench.deliver(1, 2, 3);
    await turn();

    expect(waiting.map(({ value }) => value)).toEqual([1, 2]);
    expect({ two: await next(two), short: bench.settler.short, inFlight: bench.worker.inFlight }).toEqual({
      two: 3,
      short: ['ack 2'],
      inFlight: 2,
    });
  });

  it('are left one by one: only the last stops deliveries', async () => {
    bench.deliver(1, 2);
    const [one, two] = [bench.worker.iterate(), bench.worker.iterate()];
    await next(one);
    await next(two);
    await one.return?.();
    const afterOne = { log: [...bench.log], short: [...bench.settler.short] };
    await two.return?.();

    expect(afterOne).toEqual({ log: ['first'], short: ['reject 1'] });
    expect({ log: bench.log, short: bench.settler.short }).toEqual({
      log: ['first', 'last'],
      short: ['reject 1', 'reject 2'],
    });
  });
});
