const waiters = new WeakMap<AbortSignal, Waiters>();

/**
 * Calls back when the signal aborts, unless it has already; the function that it returns calls it off. However many wait for
 * one signal, it carries one listener: Node takes more than ten for a leak, and warns of it.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let waiting = waiters.get(signal);
  if (!waiting) {
    waiting = new Waiters(signal);
    waiters.set(signal, waiting);
  }
  return waiting.add(callback);
}

/** Those who wait for one signal. */
class Waiters {
  readonly #signal: AbortSignal;
  readonly #callbacks = new Set<() => void>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  add(callback: () => void): () => void {
    // Not the callback itself: it may wait twice.
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
