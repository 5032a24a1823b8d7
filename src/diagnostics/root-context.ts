import { AsyncResource } from 'node:async_hooks';

/** The asynchronous context in which the package was loaded, which belongs to no request. */
const root = new AsyncResource('leveret', { requireManualDestroy: true });

/**
 * Calls the function outside of every asynchronous context of the caller. A handler must not run in the context of the first
 * sender, of the code that opened the connection or that created the consumer: it would belong to that request, and keep it
 * in memory.
 */
export function outsideOfContexts<A extends unknown[], T>(call: (...args: A) => T, ...args: A): T {
  return root.runInAsyncScope(call, undefined, ...args);
}
