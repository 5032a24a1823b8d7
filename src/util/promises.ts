/**
 * A value, or a promise of one. `Promise` is named besides `PromiseLike`: the compiler explains a wrong promise by its value, where
 * of a `PromiseLike` it explains how the signatures of `then` differ.
 */
export type MaybePromise<T> = T | Promise<T> | PromiseLike<T>;

/** A promise with its resolvers. Its rejection is handled in advance, so an unawaited one is not "unhandled". */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** True for promises of any kind. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}
