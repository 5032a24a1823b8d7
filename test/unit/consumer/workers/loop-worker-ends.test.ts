import { beforeEach, describe, expect, it } from 'vitest';
import { FakeSession } from '../../support/deliveries.js';
import { turn } from '../../support/fake-clock.js';
import { LoopBench, next } from '../../support/loop-bench.js';
import { rejectionOf, track } from '../../support/track.js';
import { tagOf } from '../../support/worker-parts.js';

let bench: LoopBench;

beforeEach(() => {
  bench = new LoopBench();
});

describe('a lost session', () => {
  it('aborts the signal of the message in hand, and the loop goes on', async () => {
    const [message] = bench.deliver(1);
    const loop = bench.worker.iterate();
    await next(loop);
    const reason = new Error('lost');
    bench.worker.sessionLost(bench.session.asSession, reason);
    bench.session = new FakeSession();
    bench.deliver(1);

    expect(message?.signal.reason).toBe(reason);
    expect(await next(loop)).toBe(1);
  });

  it('leaves messages of another one alone', async () => {
    const [message] = bench.deliver(1);
    await next(bench.worker.iterate());
    bench.worker.sessionLost(new FakeSession().asSession, new Error('lost'));

    expect(message?.signal.aborted).toBe(false);
  });
});

describe('an asynchronous schema', () => {
  let answers: Map<number, (isValid: boolean) => void>;

  beforeEach(() => {
    answers = new Map();
    bench = new LoopBench((message) => new Promise((resolve) => answers.set(tagOf(message), resolve)));
  });

  it('is asked about one message for each loop that waits', async () => {
    const waiting = track(next(bench.worker.iterate()));
    await turn();
    bench.deliver(1, 2);
    const before = { answers: answers.size, inFlight: bench.worker.inFlight };
    answers.get(1)?.(false);
    await turn();
    answers.get(2)?.(true);
    await turn();

    expect(before).toEqual({ answers: 1, inFlight: 1 });
    expect(waiting.value).toBe(2);
  });

  it('that agrees after every loop was left gives the message back unseen', async () => {
    const loop = bench.worker.iterate();
    void next(loop);
    await turn();
    bench.deliver(1);
    await loop.return?.();
    answers.get(1)?.(true);
    await turn();

    expect(bench.session.log).toEqual(['unseen 1']);
    expect(bench.settler.short).toEqual([]);
  });

  it('that agrees after the delivery was lost hands out nothing', async () => {
    const waiting = track(next(bench.worker.iterate()));
    await turn();
    bench.deliver(1);
    bench.session.isLive = false;
    answers.get(1)?.(true);
    await turn();

    expect({ state: waiting.state, inFlight: bench.worker.inFlight }).toEqual({
      state: 'pending',
      inFlight: 0,
    });
  });
});

describe('finishing', () => {
  it('ends each loop when it asks for its next message, and waits for that', async () => {
    bench.deliver(1, 2);
    const [busy, idle] = [bench.worker.iterate(), bench.worker.iterate()];
    await next(busy);
    await next(idle);
    const waiting = track(next(idle));
    await turn();
    const finishing = track(bench.worker.finish());
    await turn();
    const before = { waiting: waiting.state, value: waiting.value, finishing: finishing.state };
    const last = await next(busy);
    await turn();

    expect(before).toEqual({ waiting: 'resolved', value: undefined, finishing: 'pending' });
    expect({ last, state: finishing.state }).toEqual({ last: undefined, state: 'resolved' });
    expect(bench.settler.short).toEqual(['ack 2', 'ack 1']);
    expect(bench.log).toEqual(['first']);
  });

  it('with an error throws it in every loop, once', async () => {
    const error = new Error('the queue is gone');
    const loop = bench.worker.iterate();
    const waiting = track(next(loop));
    await turn();
    void bench.worker.finish(error);
    await turn();

    expect(waiting.error).toBe(error);
    expect(await next(loop)).toBeUndefined();
    expect(await rejectionOf(next(bench.worker.iterate()))).toBe(error);
  });

  it('resolves at once without a loop, and a later loop ends at once', async () => {
    bench.deliver(1);
    await bench.worker.finish();

    expect(await next(bench.worker.iterate())).toBeUndefined();
    expect({ log: bench.log, buffered: bench.buffer.length }).toEqual({ log: [], buffered: 1 });
  });

  it('waits no longer once it is aborted, which aborts the signals', async () => {
    const [message] = bench.deliver(1);
    const loop = bench.worker.iterate();
    await next(loop);
    const finishing = track(bench.worker.finish());
    const reason = new Error('closed');
    bench.worker.abort(reason);
    await turn();

    expect({
      state: finishing.state,
      reason: message?.signal.reason,
      inFlight: bench.worker.inFlight,
    }).toEqual({ state: 'resolved', reason, inFlight: 0 });
    expect(await next(loop)).toBeUndefined();
  });

  it('ends calls of next that wait when it is aborted', async () => {
    const waiting = track(next(bench.worker.iterate()));
    await turn();
    bench.worker.abort(new Error('closed'));
    await turn();

    expect({ state: waiting.state, value: waiting.value, inFlight: bench.worker.inFlight }).toEqual({
      state: 'resolved',
      value: undefined,
      inFlight: 0,
    });
  });
});
