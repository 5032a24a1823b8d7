import { beforeEach, describe, expect, it } from 'vitest';
import type { ReceivedMessage } from '../../../../src/consumer/delivery/message.js';
import { turn } from '../../support/fake-clock.js';
import { HandlerBench } from '../../support/handler-bench.js';
import { track } from '../../support/track.js';
import { tagOf } from '../../support/worker-parts.js';

describe('an asynchronous schema', () => {
  let answers: Map<number, (isValid: boolean) => void>;
  const admit = (message: ReceivedMessage) =>
    new Promise<boolean>((resolve) => answers.set(tagOf(message), resolve));

  beforeEach(() => {
    answers = new Map();
  });

  it('holds a place while it works', async () => {
    const bench = new HandlerBench({ admit });
    bench.deliver([1, 2]);
    const before = { inFlight: bench.worker.inFlight, started: [...bench.started], answers: answers.size };
    answers.get(1)?.(true);
    await turn();

    expect(before).toEqual({ inFlight: 1, started: [], answers: 1 });
    expect(bench.started).toEqual([1]);
  });

  it('that refuses the message frees the place', async () => {
    const bench = new HandlerBench({ admit });
    bench.deliver([1, 2]);
    answers.get(1)?.(false);
    await turn();
    answers.get(2)?.(true);
    await turn();

    expect(bench.started).toEqual([2]);
  });

  it('that hangs fails the message at the limit of the handler', async () => {
    const bench = new HandlerBench({ admit });
    bench.deliver([1, 2]);
    await bench.clock.pass(1_100);
    answers.get(1)?.(true);
    await turn();

    expect(bench.settler.short).toEqual(['retry 1']);
    expect({ started: bench.started, isAnswered: answers.has(2) }).toEqual({ started: [], isAnswered: true });
  });

  it('takes nothing from the time of the handler', async () => {
    const bench = new HandlerBench({ admit });
    bench.deliver([1]);
    await bench.clock.pass(900);
    answers.get(1)?.(true);
    await bench.clock.pass(900);

    expect({ started: bench.started, short: bench.settler.short }).toEqual({ started: [1], short: [] });
  });

  it('that answers after its delivery was lost starts nothing', async () => {
    const bench = new HandlerBench({ admit });
    bench.deliver([1]);
    bench.worker.sessionLost(bench.session.asSession, new Error('lost'));
    answers.get(1)?.(true);
    await turn();

    expect({ started: bench.started, inFlight: bench.worker.inFlight }).toEqual({ started: [], inFlight: 0 });
  });
});

describe('finishing', () => {
  it('begins nothing new and waits for what runs', async () => {
    const bench = new HandlerBench();
    bench.deliver([1, 2]);
    const finishing = track(bench.worker.finish());
    await turn();
    const before = finishing.state;
    await bench.end(1);

    expect({ before, state: finishing.state, started: bench.started, buffered: bench.buffer.length }).toEqual(
      { before: 'pending', state: 'resolved', started: [1], buffered: 1 },
    );
    expect(bench.settler.short).toEqual(['ack 1']);
  });

  it('resolves at once when nothing runs', async () => {
    await expect(new HandlerBench().worker.finish()).resolves.toBeUndefined();
  });

  it('waits no longer once the work is aborted, which aborts every signal', async () => {
    const bench = new HandlerBench({ concurrency: 2 });
    const messages = bench.deliver([1, 2, 3]);
    const finishing = track(bench.worker.finish());
    bench.worker.abort(new Error('closed'));
    await turn();

    expect(finishing.state).toBe('resolved');
    expect(messages.map(({ signal }) => signal.aborted)).toEqual([true, true, false]);
    expect({ started: bench.started, armed: bench.clock.armed, inFlight: bench.worker.inFlight }).toEqual({
      started: [1, 2],
      armed: 0,
      inFlight: 0,
    });
  });
});
