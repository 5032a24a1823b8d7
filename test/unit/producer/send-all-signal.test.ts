import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type SendAllProgress, sendAll } from '../../../src/producer/send-all.js';
import { turn } from '../support/fake-clock.js';
import { numbers, Sends, slowly } from '../support/sends.js';
import { track } from '../support/track.js';

let sends: Sends;

beforeEach(() => {
  sends = new Sends();
});

describe('the signal of a sendAll', () => {
  it('goes to each send, unless that has one of its own', async () => {
    const [whole, own] = [new AbortController(), new AbortController()];
    const each = (body: string) => (body === 'b' ? { signal: own.signal } : {});
    const sending = sendAll(['a', 'b'], sends.send, 10, { signal: whole.signal, each });
    await turn();
    await sends.confirmAll();
    await sending;

    expect(sends.options.map((options) => options?.signal)).toEqual([whole.signal, own.signal]);
  });

  it('takes no more from the iterable, and lets it clean up', async () => {
    const controller = new AbortController();
    let cleaned = false;
    function* source() {
      try {
        for (const body of numbers(100)) yield body;
      } finally {
        cleaned = true;
      }
    }
    const sending = track(sendAll(source(), sends.send, 3, { signal: controller.signal }));
    await turn();
    controller.abort();
    await sends.confirmAll();
    await turn();

    expect({ begun: sends.begun.length, cleaned, value: sending.value }).toEqual({
      begun: 3,
      cleaned: true,
      value: { sent: 3, failed: [] },
    });
  });

  it('ends it also while a source is waited for that gives nothing', async () => {
    const controller = new AbortController();
    const source: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
    };
    const sending = track(sendAll(source, sends.send, 3, { signal: controller.signal }));
    await turn();
    const before = sending.state;
    controller.abort();
    await turn();

    expect({ before, value: sending.value }).toEqual({ before: 'pending', value: { sent: 0, failed: [] } });
  });

  it('ends it also when it is the source that aborts, and gives nothing after that', async () => {
    const controller = new AbortController();
    const source: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          controller.abort();
          return new Promise(() => {});
        },
      }),
    };
    const sending = track(sendAll(source, sends.send, 3, { signal: controller.signal }));
    await turn();

    expect(sending.value).toEqual({ sent: 0, failed: [] });
  });

  it('holds where the options of one body leave it to its default', async () => {
    const { signal } = new AbortController();
    const sending = sendAll(['a'], sends.send, 3, { signal, each: { signal: undefined } });
    await turn();
    await sends.confirmAll();
    await sending;
    expect(sends.options.map((options) => options?.signal)).toEqual([signal]);
  });

  it('ends while an element that is a promise is awaited', async () => {
    const controller = new AbortController();
    const bodies = [new Promise<string>(() => {})] as unknown as string[];
    const sending = sendAll(bodies, sends.send, 3, { signal: controller.signal });
    controller.abort();
    expect(await sending).toEqual({ sent: 0, failed: [] });
  });

  it('takes nothing at all when it is aborted already, and is let go of', async () => {
    const signal = AbortSignal.abort();

    expect(await sendAll([1, 2], sends.send, 3, { signal })).toEqual({ sent: 0, failed: [] });
    expect(sends.begun).toEqual([]);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

describe('the progress of a sendAll', () => {
  let reports: SendAllProgress[];
  const onProgress = (progress: SendAllProgress) => void reports.push(progress);

  beforeEach(() => {
    reports = [];
    vi.useFakeTimers({ toFake: ['performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('is told at most ten times a second, and once at the end', async () => {
    const sending = sendAll(['a', 'b', 'c', 'd'], sends.send, 10, { onProgress });
    await turn();
    sends.confirm('a');
    await turn();
    vi.advanceTimersByTime(100);
    sends.fail('b', new Error('late'));
    await turn();
    sends.confirm('c');
    await turn();
    vi.advanceTimersByTime(99);
    sends.confirm('d');
    await sending;

    expect(reports).toEqual([
      { sent: 1, failed: 1, total: 4 },
      { sent: 3, failed: 1, total: 4 },
    ]);
  });

  it.each<[string, Iterable<unknown> | AsyncIterable<unknown>, number | undefined]>([
    ['a list', [1, 2], 2],
    ['a set', new Set([1]), 1],
    ['a map', new Map([[1, 2]]), 1],
    ['an iterator', [1, 2].values(), undefined],
    ['an async iterable', slowly(1), undefined],
  ])('knows the total of %s', async (_, bodies, total) => {
    await sendAll(bodies, () => Promise.resolve({ messageId: 'm' }), 10, { onProgress });

    expect(reports.at(-1)?.total).toBe(total);
  });

  it('that throws is told of once everything is sent', async () => {
    const bug = new Error('a bug');
    const sending = track(
      sendAll([1, 2], sends.send, 10, {
        onProgress: () => {
          throw bug;
        },
      }),
    );
    await turn();
    vi.advanceTimersByTime(200);
    sends.confirm(1);
    await turn();
    const during = sending.state;
    sends.confirm(2);
    await turn();

    expect({ during, error: sending.error }).toEqual({ during: 'pending', error: bug });
  });
});
