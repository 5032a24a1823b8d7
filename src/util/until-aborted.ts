import { onAbort } from './on-abort.js';
import { realTimers } from './timers.js';

/** The items of the source until the signal aborts, even while the source is being awaited. */
export async function* untilAborted<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const source = items[Symbol.asyncIterator]();
  let wake: (() => void) | undefined;
  const unsubscribe = onAbort(signal, () => wake?.());
  let isOver = false;
  try {
    while (!signal.aborted) {
      const next = Promise.resolve(source.next());
      // No race with a promise of the signal, which would retain something of every step until the end.
      const step = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
        wake = () => resolve(undefined);
        next.then(resolve, reject);
        // The source itself aborted, before there was a listener. An item that it returned all the same goes first.
        if (signal.aborted) realTimers.queueMicrotask(wake);
      });
      isOver = step?.done ?? false;
      if (!step || step.done) return;
      yield await step.value;
    }
  } catch (error) {
    isOver = true;
    throw error;
  } finally {
    unsubscribe();
    // Not awaited: a source that is stuck in `next` answers `return` no sooner.
    if (!isOver) void Promise.resolve(source.return?.()).catch(() => {});
  }
}
