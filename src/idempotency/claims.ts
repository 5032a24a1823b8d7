import { TimeoutError } from '../errors.js';
import { sleep, systemClock, withDeadline } from '../util/clock.js';
import type { ClaimResult, IdempotencyStore } from './store.js';

/** How long one call of a store may take. */
const CALL_MS = 5_000;

const PAUSE_MS = 250;

/** A store with a time limit on each call: a hanging client must not block anything forever. */
export class Claims {
  readonly #store: IdempotencyStore;

  constructor(store: IdempotencyStore) {
    this.#store = store;
  }

  /** Rejects when the store fails, or is too slow; a claim that succeeds too late is released. */
  async claim(key: string, leaseMs: number): Promise<ClaimResult> {
    const claiming = Promise.resolve().then(() => this.#store.claim(key, leaseMs));
    try {
      return await limited(claiming, 'claim');
    } catch (error) {
      claiming
        .then((late) => (typeof late === 'object' ? this.release(key, late.token) : undefined))
        .catch(() => {});
      throw error;
    }
  }

  /** Keeps a claim alive until the returned function is called. */
  keep(key: string, token: string, leaseMs: number, onLost: () => void): Lease {
    return new Lease(key, token, leaseMs, this.#store, onLost);
  }

  /** Releases the key as far as the store allows. Never rejects. */
  async release(key: string, token: string): Promise<void> {
    await limited(
      Promise.resolve().then(() => this.#store.release(key, token)),
      'release',
    ).catch(() => {});
  }

  /** Marks the key as done; retries until the lease ends. Never rejects. */
  async done(key: string, token: string, ttlMs: number, lease: Lease): Promise<void> {
    while (!lease.isOver) {
      try {
        await limited(
          Promise.resolve().then(() => this.#store.done(key, token, ttlMs)),
          'done',
        );
        return;
      } catch {
        await sleep(systemClock, PAUSE_MS, NEVER);
      }
    }
  }
}

const NEVER = new AbortController().signal;

/** A claim that is renewed in time, as long as the store allows. */
export class Lease {
  readonly #ending = new AbortController();
  #endsAt: number;

  constructor(key: string, token: string, leaseMs: number, store: IdempotencyStore, onLost: () => void) {
    this.#endsAt = systemClock.now() + leaseMs;
    void this.#renew(key, token, leaseMs, store, onLost);
  }

  /** According to this process's clock, unless the claim was lost before. */
  get isOver(): boolean {
    return systemClock.now() >= this.#endsAt;
  }

  /** Stops renewing. */
  end(): void {
    this.#ending.abort();
  }

  async #renew(
    key: string,
    token: string,
    leaseMs: number,
    store: IdempotencyStore,
    onLost: () => void,
  ): Promise<void> {
    const { signal } = this.#ending;
    let pauseMs = leaseMs / 3;
    while (!signal.aborted) {
      await sleep(systemClock, pauseMs, signal);
      if (signal.aborted) return;
      const askedAt = systemClock.now();
      try {
        const isOurs = await limited(
          Promise.resolve().then(() => store.renew(key, token, leaseMs)),
          'renew',
        );
        if (signal.aborted) return;
        if (!isOurs) {
          this.#endsAt = askedAt;
          onLost();
          return;
        }
        this.#endsAt = askedAt + leaseMs;
        pauseMs = leaseMs / 3;
      } catch {
        pauseMs = Math.min(PAUSE_MS, leaseMs / 3);
      }
    }
  }
}

function limited<T>(promise: Promise<T>, what: string): Promise<T> {
  const late = () => new TimeoutError(`The idempotency store did not answer '${what}' within ${CALL_MS} ms`);
  return withDeadline(systemClock, promise, CALL_MS, late);
}
