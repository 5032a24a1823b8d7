import { describe, expect, it } from 'vitest';
import { TimeoutError } from '../../../../src/errors.js';
import { FakeSession, received } from '../../support/deliveries.js';
import { turn } from '../../support/fake-clock.js';
import { HandlerBench } from '../../support/handler-bench.js';
import { tagOf } from '../../support/worker-parts.js';

describe('a handler', () => {
  it('gets one message at a time, in order', async () => {
    const bench = new HandlerBench();
    bench.deliver([1, 2, 3]);
    const first = [...bench.started];
    await bench.end(1);
    const second = [...bench.started];
    await bench.end(2);

    expect({ first, second, started: bench.started }).toEqual({
      first: [1],
      second: [1, 2],
      started: [1, 2, 3],
    });
    expect(bench.settler.short).toEqual(['ack 1', 'ack 2']);
  });

  it('runs as often at once as the concurrency says, and no more', async () => {
    const bench = new HandlerBench({ concurrency: 3 });
    bench.deliver([1, 2, 3, 4, 5]);
    const before = { started: [...bench.started], inFlight: bench.worker.inFlight };
    await bench.end(2);

    expect(before).toEqual({ started: [1, 2, 3], inFlight: 3 });
    expect({ started: bench.started, inFlight: bench.worker.inFlight }).toEqual({
      started: [1, 2, 3, 4],
      inFlight: 3,
    });
    expect(bench.settler.short).toEqual(['ack 2']);
  });

  it('has its message acknowledged after its promise resolves, and not before', async () => {
    const bench = new HandlerBench();
    bench.deliver([1]);
    await turn();
    const before = [...bench.settler.short];
    await bench.end(1);

    expect({ before, short: bench.settler.short, inFlight: bench.worker.inFlight }).toEqual({
      before: [],
      short: ['ack 1'],
      inFlight: 0,
    });
  });

  it('may return at once: then every message goes by in one turn, in order', () => {
    const bench = new HandlerBench({ handler: () => 'done' });
    bench.deliver(Array.from({ length: 5_000 }, (_, index) => index + 1));

    expect(bench.settler.short).toEqual(bench.started.map((tag) => `ack ${tag}`));
    expect(bench.started).toHaveLength(5_000);
  });

  it('may take what is waiting without exhausting the stack', () => {
    const bench = new HandlerBench({ handler: () => undefined });
    for (let tag = 1; tag <= 50_000; tag++)
      bench.buffer.push(received({ deliveryTag: tag }, { session: bench.session, settler: bench.settler }));
    bench.worker.fill();

    expect(bench.started).toHaveLength(50_000);
    expect(bench.buffer.length).toBe(0);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('boom');
      },
    ],
    ['rejects', () => Promise.reject(new Error('boom'))],
    [
      'returns another thenable that rejects',
      // biome-ignore lint/suspicious/noThenProperty: promises of other libraries have one too
      () => ({ then: (_: unknown, fail: (error: Error) => void) => fail(new Error('boom')) }),
    ],
  ])('that %s has its message tried again, and the next one begins', async (_, fail) => {
    const bench = new HandlerBench({ handler: (message) => (tagOf(message) === 1 ? fail() : undefined) });
    bench.deliver([1, 2]);
    await turn();

    expect(bench.settler.verdicts).toEqual([
      { tag: 1, kind: 'retry', error: new Error('boom') },
      { tag: 2, kind: 'ack' },
    ]);
    expect(bench.errors).toEqual([{ tag: 1, error: new Error('boom') }]);
  });

  it('may give the verdict itself: what it returns or throws afterwards changes nothing', async () => {
    const bench = new HandlerBench({
      handler: (message) => {
        message.requeue();
        if (tagOf(message) === 2) throw new Error('boom');
      },
    });
    bench.deliver([1, 2]);
    await turn();

    expect(bench.settler.short).toEqual(['requeue 1', 'requeue 2']);
    expect(bench.errors).toEqual([{ tag: 2, error: new Error('boom') }]);
  });

  it('does not get what was not admitted, and the next one takes its place', () => {
    const bench = new HandlerBench({ admit: (message) => tagOf(message) !== 2, handler: () => undefined });
    bench.deliver([1, 2, 3]);

    expect(bench.started).toEqual([1, 3]);
    expect(bench.settler.short).toEqual(['ack 1', 'ack 3']);
    expect(bench.worker.inFlight).toBe(0);
  });
});

describe('a handler that takes too long', () => {
  it('fails at its limit: its signal aborts, its message is tried again, its place is free', async () => {
    const bench = new HandlerBench();
    const [first] = bench.deliver([1, 2]);
    const signal = first?.signal;
    await bench.clock.pass(999);
    const before = { aborted: signal?.aborted, short: [...bench.settler.short] };
    await bench.clock.pass(25);

    expect(before).toEqual({ aborted: false, short: [] });
    expect(bench.settler.short).toEqual(['retry 1']);
    expect(signal?.reason).toBeInstanceOf(TimeoutError);
    expect(bench.errors).toEqual([{ tag: 1, error: signal?.reason }]);
    expect(signal?.reason).toMatchObject({ message: 'The handler did not finish within 1000 ms' });
    expect(bench.started).toEqual([1, 2]);
  });

  it('changes nothing when it ends after all', async () => {
    const bench = new HandlerBench();
    bench.deliver([1]);
    await bench.clock.pass(1_100);
    await bench.end(1);

    expect(bench.settler.short).toEqual(['retry 1']);
    expect(bench.worker.inFlight).toBe(0);
  });

  it('is not one that has ended in time, though another still runs', async () => {
    const bench = new HandlerBench({ concurrency: 2 });
    const [ended] = bench.deliver([1]);
    await bench.clock.pass(500);
    bench.deliver([2]);
    await bench.end(1);
    await bench.clock.pass(700);

    expect({ errors: bench.errors, aborted: ended?.signal.aborted }).toEqual({ errors: [], aborted: false });
  });

  it('has no limit when that is infinite, and no timer stays', async () => {
    const bench = new HandlerBench({ handlerTimeoutMs: Number.POSITIVE_INFINITY });
    bench.deliver([1]);

    expect(bench.clock.armed).toBe(0);
    expect(bench.worker.inFlight).toBe(1);
  });

  it('has a limit of its own for each message', async () => {
    const bench = new HandlerBench({ concurrency: 2 });
    bench.deliver([1]);
    await bench.clock.pass(600);
    bench.deliver([2]);
    await bench.clock.pass(600);

    expect(bench.settler.short).toEqual(['retry 1']);
    expect(bench.worker.inFlight).toBe(1);
  });
});

describe('a lost session', () => {
  const reason = new Error('the delivery was lost');

  it('aborts the work on its deliveries and frees their places', async () => {
    const bench = new HandlerBench();
    const [lost] = bench.deliver([1]);
    const next = new FakeSession();
    bench.worker.sessionLost(bench.session.asSession, reason);
    bench.deliver([1], next);

    expect(lost?.signal.reason).toBe(reason);
    expect(bench.started).toEqual([1, 1]);
    expect(bench.settler.short).toEqual([]);
  });

  it('leaves the work on the deliveries of another one alone', () => {
    const bench = new HandlerBench({ concurrency: 2 });
    const other = new FakeSession();
    bench.deliver([1]);
    const [kept] = bench.deliver([1], other);
    bench.worker.sessionLost(bench.session.asSession, reason);

    expect(kept?.signal.aborted).toBe(false);
    expect(bench.worker.inFlight).toBe(1);
  });

  it('does not keep a handler from ending: its verdict then finds the delivery stale', async () => {
    const bench = new HandlerBench();
    bench.deliver([1]);
    bench.worker.sessionLost(bench.session.asSession, reason);
    await bench.end(1);

    expect(bench.settler.short).toEqual(['ack 1']);
    expect(bench.worker.inFlight).toBe(0);
  });
});

describe('a message that came back three times', () => {
  const suspicious = { redelivered: true, properties: { headers: { 'x-delivery-count': 3 } } };

  it('runs alone: after those before it, and before those behind it', async () => {
    const bench = new HandlerBench({ concurrency: 3 });
    bench.deliver([1, 2]);
    bench.deliver([3], bench.session, suspicious);
    bench.deliver([4, 5]);
    const course = [[...bench.started]];
    for (const tag of [1, 2, 3]) {
      await bench.end(tag);
      course.push([...bench.started]);
    }

    expect(course).toEqual([
      [1, 2],
      [1, 2],
      [1, 2, 3],
      [1, 2, 3, 4, 5],
    ]);
  });

  it('lets the others go on when its delivery is lost', async () => {
    const bench = new HandlerBench({ concurrency: 3 });
    bench.deliver([1], bench.session, suspicious);
    bench.deliver([2, 3], new FakeSession());
    const before = [...bench.started];
    bench.worker.sessionLost(bench.session.asSession, new Error('lost'));

    expect({ before, started: bench.started }).toEqual({ before: [1], started: [1, 2, 3] });
  });

  it.each([
    ['came back twice', { redelivered: true, properties: { headers: { 'x-delivery-count': 2 } } }],
    ['carries a count from elsewhere', { properties: { headers: { 'x-delivery-count': 9 } } }],
  ])('is not one that %s', (_, overrides) => {
    const bench = new HandlerBench({ concurrency: 3 });
    bench.deliver([1, 2, 3], bench.session, overrides);

    expect(bench.started).toEqual([1, 2, 3]);
  });

  it('is one that 4.3 has delivered so often', () => {
    const bench = new HandlerBench({ concurrency: 3 });
    const headers = { 'x-acquired-count': 4 };
    bench.deliver([1, 2], bench.session, { redelivered: true, properties: { headers } });

    expect(bench.started).toEqual([1]);
  });
});
