import { describe, expect, it } from 'vitest';
import type { Message, ReceivedMessage } from '../../../../src/consumer/delivery/message.js';
import { PrefetchBuffer } from '../../../../src/consumer/delivery/prefetch-buffer.js';
import { InPlaceRetries } from '../../../../src/consumer/settlement/in-place-retries.js';
import { OrderedWorker } from '../../../../src/consumer/workers/ordered-worker.js';
import { TimeoutError } from '../../../../src/errors.js';
import type { Delivery } from '../../../../src/transport/port.js';
import { FakeSession, FakeSettler } from '../../support/deliveries.js';
import { FakeClock, turn } from '../../support/fake-clock.js';
import { deliverTo, type Failure, RunningHandlers, recordedIn, tagOf } from '../../support/worker-parts.js';

const RETRY_MS = 100;

/** Retries in place what failed, as a settlement does where order counts. */
class RetryingSettler extends FakeSettler {
  retries: InPlaceRetries | undefined;

  override settle(...[message, verdict]: Parameters<FakeSettler['settle']>): boolean {
    super.settle(message, verdict);
    if (verdict.kind === 'retry') this.retries?.retry(message, verdict.delayMs ?? RETRY_MS);
    return this.answer;
  }
}

class OrderedBench {
  readonly clock = new FakeClock();
  readonly buffer = new PrefetchBuffer();
  readonly settler = new RetryingSettler();
  readonly session = new FakeSession();
  /** `tag/attempt` of each run, in order. */
  readonly started: string[] = [];
  readonly errors: Failure[] = [];
  readonly retries: InPlaceRetries;
  readonly worker: OrderedWorker;
  readonly #running = new RunningHandlers();

  /** @param keys - the key of each tag, from 1 */
  constructor(keys: string, options: { readonly concurrency?: number; readonly lookAhead?: number } = {}) {
    const { concurrency = 10, lookAhead = 100 } = options;
    this.retries = new InPlaceRetries({
      clock: this.clock,
      maxHoldMs: 1_000,
      onDue: (message, failed) => this.worker.runAgain(message, failed),
    });
    this.settler.retries = this.retries;
    this.worker = new OrderedWorker({
      handler: (message: Message) => {
        this.started.push(`${tagOf(message)}/${message.attempt}`);
        return this.#running.begin(tagOf(message));
      },
      orderBy: (message) => {
        const key = keys[tagOf(message) - 1];
        if (key === '!') throw new Error('no key');
        return key;
      },
      concurrency,
      lookAhead,
      handlerTimeoutMs: 500,
      buffer: this.buffer,
      clock: this.clock,
      admit: () => true,
      isWaiting: (message) => this.retries.has(message),
      onFailed: recordedIn(this.errors),
    });
  }

  deliver(tags: readonly number[], session = this.session, overrides: Partial<Delivery> = {}) {
    return deliverTo(this, tags, session, overrides);
  }

  end(tag: number, error?: Error): Promise<void> {
    return this.#running.end(tag, error);
  }

  lose(): void {
    const reason = new Error('lost');
    this.session.isLive = false;
    this.retries.sessionLost(this.session.asSession);
    this.worker.sessionLost(this.session.asSession, reason);
  }
}

describe('a handler with a key', () => {
  it('runs once for each key, and on the next message of a key when the one before has ended', async () => {
    const bench = new OrderedBench('aab');
    bench.deliver([1, 2, 3]);
    const before = [...bench.started];
    await bench.end(1);

    expect(before).toEqual(['1/1', '3/1']);
    expect(bench.started.slice(2)).toEqual(['2/1']);
  });

  it('holds the others of its key when it fails, and frees its place for other keys meanwhile', async () => {
    const bench = new OrderedBench('aabb', { concurrency: 1 });
    bench.deliver([1, 2, 3, 4]);
    await bench.end(1, new Error('boom'));
    const meanwhile = [...bench.started];
    await bench.end(3);
    bench.clock.advance(RETRY_MS);
    await bench.end(4);
    await bench.end(1);

    expect(meanwhile).toEqual(['1/1', '3/1']);
    expect(bench.started.slice(2)).toEqual(['4/1', '1/2', '2/1']);
  });

  it('does not run beside itself when it asks for another run before its end', async () => {
    const bench = new OrderedBench('aa');
    const [first] = bench.deliver([1, 2]);
    first?.retry({ delayMs: 10 });
    bench.clock.advance(50);
    const before = [...bench.started];
    await bench.end(1);
    const after = [...bench.started];
    await bench.end(1);

    expect({ before, after }).toEqual({ before: ['1/1'], after: ['1/1', '1/2'] });
    expect(bench.started.slice(2)).toEqual(['2/1']);
  });

  it('frees its key and its place when it takes too long, after its message has run again', async () => {
    const bench = new OrderedBench('aa', { concurrency: 1 });
    bench.deliver([1, 2]);
    bench.clock.advance(530);
    const errors = [...bench.errors];
    bench.clock.advance(RETRY_MS);
    await bench.end(1);

    expect(errors).toMatchObject([{ error: expect.any(TimeoutError) }]);
    expect(bench.started).toEqual(['1/1', '1/2', '2/1']);
  });

  it('fails when its key cannot be told, and so does each further attempt', () => {
    const bench = new OrderedBench('!a');
    bench.deliver([1, 2]);
    bench.clock.advance(RETRY_MS);

    expect(bench.started).toEqual(['2/1']);
    expect(bench.settler.short).toEqual(['retry 1', 'retry 1']);
    expect(bench.errors).toHaveLength(2);
  });

  it('looks ahead no further than it may', () => {
    const bench = new OrderedBench('aaaab', { lookAhead: 2 });
    bench.deliver([1, 2, 3, 4, 5]);

    expect(bench.started).toEqual(['1/1']);
    expect({ waiting: bench.worker.waiting, buffered: bench.buffer.length }).toEqual({
      waiting: 2,
      buffered: 2,
    });
  });
});

describe('a lost session', () => {
  it('leaves no key behind that is taken, by a run or by a wait', async () => {
    const bench = new OrderedBench('abca');
    bench.deliver([1, 2, 3, 4]);
    await bench.end(2, new Error('boom'));
    bench.lose();
    bench.clock.advance(RETRY_MS);
    const again = new FakeSession();
    bench.deliver([1, 2, 3, 4], again);

    expect(bench.started.slice(3)).toEqual(['1/1', '2/1', '3/1']);
    expect(bench.worker.waiting).toBe(1);
    // An abandoned run that ends late does not free the key of the one that runs now.
    expect(bench.worker.inFlight).toBe(3);
  });
});

describe('the end', () => {
  it('gives back what was taken ahead, in order, and waits for what runs', async () => {
    const bench = new OrderedBench('aaba', { concurrency: 1 });
    bench.deliver([1, 2, 3, 4]);
    let isFinished = false;
    const finished = bench.worker.finish().then(() => {
      isFinished = true;
    });
    for (const { session, delivery } of bench.worker.drain()) session.requeueUnseen(delivery.deliveryTag);
    await turn();
    const before = isFinished;
    await bench.end(1);
    await finished;

    expect(before).toBe(false);
    expect(bench.session.log).toEqual(['unseen 2', 'unseen 3', 'unseen 4']);
    expect(bench.started).toEqual(['1/1']);
  });

  it('gives back what waits, and what fails from then on', async () => {
    const bench = new OrderedBench('ab');
    bench.deliver([1, 2]);
    await bench.end(1, new Error('boom'));
    bench.retries.finish();
    await bench.end(2, new Error('boom'));
    bench.clock.advance(10_000);

    expect(bench.session.log).toEqual(['failed 1', 'failed 2']);
    expect(bench.started).toHaveLength(2);
  });

  it('runs alone on a message that came back three times, whatever its key', async () => {
    const bench = new OrderedBench('abcd');
    const suspicious = { redelivered: true, properties: { headers: { 'x-delivery-count': 3 } } };
    bench.deliver([1]);
    bench.deliver([2], bench.session, suspicious);
    bench.deliver([3, 4]);
    const course = [[...bench.started]];
    for (const tag of [1, 2]) {
      await bench.end(tag);
      course.push([...bench.started]);
    }

    // Attempt 4, as the server counts.
    expect(course).toEqual([['1/1'], ['1/1', '2/4'], ['1/1', '2/4', '3/1', '4/1']]);
  });

  it('refuses to retry a message in place for longer than it may in all', async () => {
    const bench = new OrderedBench('a');
    const [message] = bench.deliver([1]) as [ReceivedMessage];
    const retried = [bench.retries.retry(message, 600)];
    bench.clock.advance(600);
    retried.push(bench.retries.retry(message.again(), 300), bench.retries.retry(message.again(), 500));

    expect(retried).toEqual([true, true, false]);
  });
});
