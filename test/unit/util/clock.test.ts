import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { raceAbort, sleep, systemClock, withDeadline } from '../../../src/util/clock.js';
import { FakeClock, turn } from '../support/fake-clock.js';
import { track } from '../support/track.js';

let clock: FakeClock;
let controller: AbortController;
const never = new Promise<string>(() => {});

beforeEach(() => {
  clock = new FakeClock();
  controller = new AbortController();
});

/** How many listeners a signal has: those that a test can see coming and going. */
function countListeners(signal: AbortSignal) {
  let count = 0;
  const add = signal.addEventListener.bind(signal) as (...args: unknown[]) => void;
  const remove = signal.removeEventListener.bind(signal) as (...args: unknown[]) => void;
  signal.addEventListener = (...args: unknown[]) => {
    count++;
    add(...args);
  };
  signal.removeEventListener = (...args: unknown[]) => {
    count--;
    remove(...args);
  };
  return () => count;
}

describe('a sleep', () => {
  it('lasts as long as it is to', async () => {
    const paused = track(sleep(clock, 100, controller.signal));
    await clock.pass(99);
    const before = paused.state;
    await clock.pass(1);
    await turn();

    expect({ before, state: paused.state }).toEqual({ before: 'pending', state: 'resolved' });
  });

  it('ends when the signal aborts, and leaves no timer', async () => {
    const paused = track(sleep(clock, 100, controller.signal));
    controller.abort();
    await turn();

    expect({ state: paused.state, armed: clock.armed }).toEqual({ state: 'resolved', armed: 0 });
  });

  it('does not begin when the signal is aborted', async () => {
    controller.abort();

    await sleep(clock, 100, controller.signal);

    expect(clock.armed).toBe(0);
  });

  it('leaves no listener on the signal', async () => {
    const listeners = countListeners(controller.signal);
    const paused = sleep(clock, 100, controller.signal);
    await clock.pass(100);
    await paused;

    expect(listeners()).toBe(0);
  });
});

describe('a deadline', () => {
  const late = () => new Error('late');

  it('lets a promise that is in time through, and leaves no timer', async () => {
    await expect(withDeadline(clock, Promise.resolve('in time'), 50, late)).resolves.toBe('in time');
    await expect(withDeadline(clock, Promise.reject(new Error('failed')), 50, late)).rejects.toThrow(
      'failed',
    );
    expect(clock.armed).toBe(0);
  });

  it('rejects once its time is over', async () => {
    const waited = track(withDeadline(clock, never, 50, late));
    await clock.pass(49);
    const before = waited.state;
    await clock.pass(1);
    await turn();

    expect({ before, error: waited.error }).toEqual({ before: 'pending', error: new Error('late') });
  });

  it('ignores what the promise does later', async () => {
    let fail: (error: Error) => void = () => {};
    const promise = new Promise((_, reject) => {
      fail = reject;
    });
    const waited = track(withDeadline(clock, promise, 50, late));
    await clock.pass(50);
    fail(new Error('later'));
    await turn();

    expect(waited.error).toEqual(new Error('late'));
  });

  it('of infinite length arms no timer', () => {
    void withDeadline(clock, never, Number.POSITIVE_INFINITY, late);

    expect(clock.armed).toBe(0);
  });

  it('in the past passes at once', async () => {
    const waited = track(withDeadline(clock, never, -5, late));
    await clock.pass(0);
    await turn();

    expect(waited.state).toBe('rejected');
  });
});

describe('a promise with a signal', () => {
  it('rejects with the reason of the signal', async () => {
    const waited = raceAbort(never, controller.signal);
    controller.abort('enough');

    await expect(waited).rejects.toBe('enough');
  });

  it('rejects at once when the signal is aborted already', async () => {
    controller.abort('enough');

    await expect(raceAbort(Promise.resolve(1), controller.signal)).rejects.toBe('enough');
  });

  it('settles as it is without one', async () => {
    await expect(raceAbort(Promise.resolve(1), undefined)).resolves.toBe(1);
  });

  it('leaves no listener on the signal', async () => {
    const listeners = countListeners(controller.signal);
    await raceAbort(Promise.resolve(1), controller.signal);
    await turn();

    expect(listeners()).toBe(0);
  });
});

describe("the system's clock", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('waits for a delay that is longer than a timer can hold instead of firing at once', () => {
    let fired = false;
    systemClock.setTimeout(() => {
      fired = true;
    }, 2 ** 40);
    vi.advanceTimersByTime(60_000);

    expect(fired).toBe(false);
  });

  it('never goes back when the time of day does', () => {
    const before = { now: systemClock.now(), wallNow: systemClock.wallNow() };
    vi.setSystemTime(before.wallNow - 3_600_000);
    vi.advanceTimersByTime(10);

    expect(systemClock.wallNow()).toBeLessThan(before.wallNow);
    expect(systemClock.now()).toBeGreaterThan(before.now);
  });

  it('clears a timer', () => {
    let fired = false;
    systemClock.clearTimeout(
      systemClock.setTimeout(() => {
        fired = true;
      }, 10),
    );
    vi.advanceTimersByTime(100);

    expect(fired).toBe(false);
  });
});
