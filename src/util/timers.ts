import { performance } from 'node:perf_hooks';
import {
  clearTimeout as clearTimer,
  setImmediate as onNextTurn,
  setTimeout as startTimer,
} from 'node:timers';

/**
 * Node's timers as they were when this module was loaded. Test runners replace them with fakes, which would stop a consumer
 * in the middle of its work, because its acknowledgements wait for the next turn of the event loop.
 */
export const realTimers = {
  setTimeout: startTimer,
  clearTimeout: clearTimer,
  setImmediate: onNextTurn,
  queueMicrotask: globalThis.queueMicrotask,
  /** Milliseconds on a monotonic clock. */
  now: performance.now.bind(performance),
} as const;

/** False when a test runner had replaced them before this module was loaded: node:test puts bound functions in their place. */
export function areTimersReal(): boolean {
  const { setTimeout, setImmediate } = realTimers;
  return [setTimeout, setImmediate].every((timer) =>
    Function.prototype.toString.call(timer).startsWith(`function ${timer.name}(`),
  );
}

/** Resolves after the current turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => realTimers.setImmediate(resolve));
}
