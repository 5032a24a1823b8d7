import { describe, expect, it } from 'vitest';
import type { ReceivedMessage } from '../../../../src/consumer/delivery/message.js';
import { TimeoutError } from '../../../../src/errors.js';
import { type Deferred, deferred } from '../../../../src/util/promises.js';
import { BatchBench } from '../../support/batch-bench.js';
import { FakeSession } from '../../support/deliveries.js';
import { turn } from '../../support/fake-clock.js';
import { tagOf } from '../../support/worker-parts.js';

describe('a batch', () => {
  it('is handled as soon as it is full, in order', () => {
    const bench = new BatchBench();
    bench.deliver([1, 2]);
    const before = {
      started: bench.started.length,
      waiting: bench.worker.waiting,
      inFlight: bench.worker.inFlight,
    };
    bench.deliver([3, 4]);

    expect(before).toEqual({ started: 0, waiting: 2, inFlight: 0 });
    expect(bench.started).toEqual([[1, 2, 3]]);
    expect({ waiting: bench.worker.waiting, inFlight: bench.worker.inFlight }).toEqual({
      waiting: 1,
      inFlight: 3,
    });
  });

  it('is handled as it is when its first message has waited long enough, and not earlier', () => {
    const bench = new BatchBench();
    bench.deliver([1]);
    bench.clock.advance(60);
    bench.deliver([2]);
    bench.clock.advance(39);
    const before = [...bench.started];
    bench.clock.advance(1);

    expect(before).toEqual([]);
    expect(bench.started).toEqual([[1, 2]]);
  });

  it('has no timer as long as it is empty', async () => {
    const bench = new BatchBench({ handlerTimeoutMs: Number.POSITIVE_INFINITY });
    const before = bench.clock.armed;
    bench.deliver([1, 2, 3]);
    const running = bench.clock.armed;
    await bench.end();

    expect({ before, running, armed: bench.clock.armed }).toEqual({ before: 0, running: 0, armed: 0 });
  });

  it('is acknowledged as a whole after its handler has ended, and not before', async () => {
    const bench = new BatchBench();
    bench.deliver([1, 2, 3]);
    await turn();
    const before = [...bench.settler.short];
    await bench.end();

    expect(before).toEqual([]);
    expect(bench.settler.short).toEqual(['ack 1', 'ack 2', 'ack 3']);
  });

  it('whose messages came while another was handled goes at once when their time is over', async () => {
    const bench = new BatchBench();
    bench.deliver([1, 2, 3, 4, 5]);
    bench.clock.advance(500);
    const before = bench.started.length;
    await bench.end();

    expect(before).toBe(1);
    expect(bench.started).toEqual([
      [1, 2, 3],
      [4, 5],
    ]);
  });

  it('is handled beside others, as many as the concurrency says', async () => {
    const bench = new BatchBench({ concurrency: 2, size: 2 });
    bench.deliver([1, 2, 3, 4, 5, 6, 7]);
    const before = [...bench.started];
    await bench.end();

    expect(before).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(bench.started.at(-1)).toEqual([5, 6]);
    expect(bench.worker.waiting).toBe(1);
  });

  it('never holds what was not admitted', () => {
    const bench = new BatchBench({ admit: (message) => tagOf(message) % 2 === 1 });
    bench.deliver([1, 2, 3, 4, 5]);

    expect(bench.started).toEqual([[1, 3, 5]]);
  });

  it('keeps the order in which messages came, however long their schema takes', async () => {
    const checks = new Map<ReceivedMessage, Deferred<boolean>>();
    const admit = (message: ReceivedMessage) => {
      if (tagOf(message) === 2) return true;
      const check = deferred<boolean>();
      checks.set(message, check);
      return check.promise;
    };
    const bench = new BatchBench({ admit });
    const [first, , third] = bench.deliver([1, 2, 3, 4]) as [
      ReceivedMessage,
      ReceivedMessage,
      ReceivedMessage,
    ];
    checks.get(third)?.resolve(true);
    await turn();
    const before = bench.started.length;
    checks.get(first)?.resolve(true);
    await turn();

    expect(before).toBe(0);
    expect(bench.started).toEqual([[1, 2, 3]]);
  });

  it('may return at once, ten thousand times in one turn', () => {
    const bench = new BatchBench({ size: 10, handler: () => undefined });
    bench.deliver(Array.from({ length: 10_000 }, (_, index) => index + 1));

    expect(bench.started).toHaveLength(1_000);
    expect(bench.settler.verdicts).toHaveLength(10_000);
    expect(bench.clock.armed).toBe(1);
  });
});

describe('a handler of batches', () => {
  it('may give messages a verdict of their own', async () => {
    const bench = new BatchBench({
      handler: ([first, second]) => {
        first?.deadLetter('no');
        second?.requeue();
      },
    });
    bench.deliver([1, 2, 3]);
    await turn();

    expect(bench.settler.short).toEqual(['dead-letter 1', 'requeue 2', 'ack 3']);
  });

  it('that fails has each message without a verdict tried again', async () => {
    const boom = new Error('boom');
    const bench = new BatchBench({
      handler: async ([first]) => {
        first?.ack();
        throw boom;
      },
    });
    bench.deliver([1, 2, 3]);
    await turn();

    expect(bench.settler.short).toEqual(['ack 1', 'retry 2', 'retry 3']);
    expect(bench.errors).toEqual([
      { tag: 2, error: boom },
      { tag: 3, error: boom },
    ]);
  });

  it('that takes too long fails: its signals abort, and its place is free', async () => {
    const bench = new BatchBench();
    const [first] = bench.deliver([1, 2, 3, 4, 5, 6]);
    await bench.clock.pass(1_030);

    expect(bench.settler.short).toEqual(['retry 1', 'retry 2', 'retry 3']);
    expect(bench.contexts[0]?.signal.reason).toBeInstanceOf(TimeoutError);
    expect(first?.signal.aborted).toBe(true);
    expect(bench.started).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
  });
});

describe('when deliveries are lost', () => {
  it('those gathered are forgotten, and running batches abort and make room', () => {
    const bench = new BatchBench();
    bench.deliver([1, 2, 3, 4]);
    const reason = new Error('lost');
    bench.session.isLive = false;
    bench.worker.sessionLost(bench.session.asSession, reason);
    bench.deliver([1, 2, 3], new FakeSession());

    expect(bench.contexts[0]?.signal.reason).toBe(reason);
    expect(bench.started).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect(bench.worker.waiting).toBe(0);
  });

  it('no partial batch of them is handled later', () => {
    const bench = new BatchBench();
    bench.deliver([1, 2]);
    bench.worker.sessionLost(bench.session.asSession, new Error('lost'));
    bench.clock.advance(1_000);

    expect(bench.started).toEqual([]);
    expect(bench.clock.armed).toBe(0);
  });
});

describe('the end', () => {
  it('waits for running batches, and gives the one that is gathered back in order', async () => {
    const bench = new BatchBench();
    bench.deliver([1, 2, 3, 4, 5]);
    let isFinished = false;
    const finished = bench.worker.finish().then(() => {
      isFinished = true;
    });
    for (const { session, delivery } of bench.worker.drain()) session.requeueUnseen(delivery.deliveryTag);
    bench.clock.advance(500);
    await turn();
    const before = isFinished;
    await bench.end();
    await finished;

    expect(before).toBe(false);
    expect(bench.session.log).toEqual(['unseen 4', 'unseen 5']);
    expect(bench.started).toEqual([[1, 2, 3]]);
    expect(bench.clock.armed).toBeLessThanOrEqual(1);
  });

  it('aborts what runs when it can wait no more', async () => {
    const bench = new BatchBench();
    bench.deliver([1, 2, 3, 4]);
    const reason = new Error('closed');
    bench.worker.abort(reason);
    await bench.worker.finish();

    expect(bench.contexts[0]?.signal.reason).toBe(reason);
    expect({ inFlight: bench.worker.inFlight, armed: bench.clock.armed }).toEqual({ inFlight: 0, armed: 0 });
  });
});
