import { AsyncResource } from 'node:async_hooks';

/** The asynchronous context in which the package was loaded: that of no request. */
const root = new AsyncResource('leveret', { requireManualDestroy: true });

/**
 * Calls the function outside of every asynchronous context of the caller. A handler must not run in that of whoever sent first,
 * opened the connection or made the consumer: it would belong to their request, and keep it in memory.
 */
export function outsideOfContexts<A extends unknown[], T>(call: (...args: A) => T, ...args: A): T {
  return root.runInAsyncScope(call, undefined, ...args);
}
