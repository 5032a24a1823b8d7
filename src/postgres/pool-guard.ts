interface Emitter {
  on(event: string, listener: (...args: never[]) => void): unknown;
}

/** Pools and clients that already have our listener. */
const guarded = new WeakSet<object>();

/**
 * Adds a listener for `error` to a pg Pool, and to each of its clients. Without one, a connection that dies would end the
 * process. The statement that ran on it, or the next one, fails in any case.
 */
export function protectPool(pool: unknown): void {
  if (!isEmitter(pool) || !('totalCount' in pool) || guarded.has(pool)) return;
  guard(pool);
  // Each client, whether it connects from now on or was connected before.
  pool.on('connect', guard);
  pool.on('acquire', guard);
}

function guard(emitter: unknown): void {
  if (!isEmitter(emitter) || guarded.has(emitter)) return;
  guarded.add(emitter);
  emitter.on('error', () => {});
}

function isEmitter(value: unknown): value is object & Emitter {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Emitter>).on === 'function';
}
