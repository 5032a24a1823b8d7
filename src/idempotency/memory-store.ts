import { randomUUID } from 'node:crypto';
import { realTimers } from '../util/timers.js';
import type { ClaimResult, IdempotencyStore } from './store.js';

interface Entry {
  /** Undefined once the key is done. */
  readonly token: string | undefined;
  /** On the monotonic clock. */
  readonly until: number;
}

const MAX_KEYS = 100_000;

/** The shortest time between two searches for claims whose lease has ended, in milliseconds. */
const SWEEP_MS = 1_000;

/**
 * A store in the memory of this process: for tests, and for one process alone. Keeps 100 000 keys at most; the oldest done ones
 * go first. While all of them are claimed it rejects further claims.
 *
 * @example
 * ```ts
 * broker.consumer(emails, ({ body }) => deliver(body), { idempotency: { store: memoryStore() } });
 * ```
 */
export function memoryStore(): IdempotencyStore {
  return new MemoryStore();
}

/** The store behind {@link memoryStore}. */
class MemoryStore implements IdempotencyStore {
  readonly #claimed = new Map<string, Entry>();
  /** In the order in which they were done. */
  readonly #done = new Map<string, Entry>();
  #sweptAt = Number.NEGATIVE_INFINITY;

  async claim(key: string, leaseMs: number): Promise<ClaimResult> {
    if (this.#current(this.#done, key)) return 'done';
    if (this.#current(this.#claimed, key)) return 'busy';
    if (!this.#makeRoom()) throw new Error(`memoryStore: all of its ${MAX_KEYS} keys are claimed`);
    const token = randomUUID();
    this.#claimed.set(key, { token, until: realTimers.now() + leaseMs });
    return { token };
  }

  async renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    if (!this.#isOf(key, token)) return false;
    this.#claimed.set(key, { token, until: realTimers.now() + leaseMs });
    return true;
  }

  async done(key: string, token: string, ttlMs: number): Promise<boolean> {
    if (!this.#isOf(key, token)) return false;
    this.#claimed.delete(key);
    this.#done.set(key, { token: undefined, until: realTimers.now() + ttlMs });
    return true;
  }

  async release(key: string, token: string): Promise<boolean> {
    if (!this.#isOf(key, token)) return false;
    this.#claimed.delete(key);
    return true;
  }

  #isOf(key: string, token: string): boolean {
    return this.#current(this.#claimed, key)?.token === token;
  }

  #current(entries: Map<string, Entry>, key: string): Entry | undefined {
    const entry = entries.get(key);
    if (!entry || entry.until > realTimers.now()) return entry;
    entries.delete(key);
    return undefined;
  }

  /** Makes room for one key; false when there is none. */
  #makeRoom(): boolean {
    if (this.#claimed.size + this.#done.size < MAX_KEYS) return true;
    const [oldest] = this.#done.keys();
    if (oldest !== undefined) return this.#done.delete(oldest);
    this.#forgetEnded();
    return this.#claimed.size < MAX_KEYS;
  }

  /** Only claims are left. Those whose lease has ended are free; each of the others is in use. */
  #forgetEnded(): void {
    const now = realTimers.now();
    if (now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    for (const key of [...this.#claimed.keys()]) this.#current(this.#claimed, key);
  }
}
