const waiters = new WeakMap<AbortSignal, Waiters>();

/**
 * Calls back when the signal aborts, unless the returned function unsubscribes first. However many callbacks wait for a
 * signal, the signal carries one listener: Node reports more than ten as a possible leak.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let waiting = waiters.get(signal);
  if (!waiting) {
    waiting = new Waiters(signal);
    waiters.set(signal, waiting);
  }
  return waiting.add(callback);
}

/** The callbacks that wait for one signal. */
class Waiters {
  readonly #signal: AbortSignal;
  readonly #callbacks = new Set<() => void>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  add(callback: () => void): () => void {
    // A new function, since the same callback may be waiting twice.
    const call = () => callback();
    this.#callbacks.add(call);
    return () => {
      this.#callbacks.delete(call);
      if (this.#callbacks.size === 0) this.#stop();
    };
  }

  readonly #onAbort = () => {
    for (const call of [...this.#callbacks]) call();
  };

  #stop(): void {
    if (waiters.get(this.#signal) !== this) return;
    waiters.delete(this.#signal);
    this.#signal.removeEventListener('abort', this.#onAbort);
  }
}
