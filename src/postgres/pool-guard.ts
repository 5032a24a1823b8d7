interface Emitter {
  on(event: string, listener: (...args: never[]) => void): unknown;
}

/** Pools and clients that have a listener of ours. */
const guarded = new WeakSet<object>();

/**
 * Gives a pg Pool, and each of its clients, a listener for `error`. Without one, a connection that dies would end the process;
 * the statement that ran on it, or the next one, fails all the same.
 */
export function protectPool(pool: unknown): void {
  if (!isEmitter(pool) || !('totalCount' in pool) || guarded.has(pool)) return;
  guard(pool);
  // Each that is connected from now on, and each that was before.
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
