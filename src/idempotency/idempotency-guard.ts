import type { DeferredVerdict } from '../consumer/delivery/deferred-verdict.js';
import type { ReceivedMessage } from '../consumer/delivery/message.js';
import type { HandlerGuard } from '../consumer/workers/handler-guard.js';
import { ClosedError } from '../errors.js';
import { GuardReports, type GuardReportsSettings } from '../inbox/guard-reports.js';
import { sleep, systemClock } from '../util/clock.js';
import { Claims } from './claims.js';
import type { ClaimResult, IdempotencyStore } from './store.js';

export interface IdempotencyGuardSettings extends GuardReportsSettings {
  readonly store: IdempotencyStore;
  readonly ttlMs: number;
  readonly leaseMs: number;
  readonly handler: (message: ReceivedMessage) => unknown;
}

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;

/** How long a message waits before it asks again for a claim that another consumer holds. */
const FIRST_BUSY_MS = 250;
const MAX_BUSY_MS = 4_000;

/** Runs a handler while holding a claim on the message, and settles the message after the claim has ended. */
export class IdempotencyGuard implements HandlerGuard {
  readonly #settings: IdempotencyGuardSettings;
  readonly #claims: Claims;
  /** How long each delivery waits the next time that its key is busy. */
  readonly #busyMs = new WeakMap<ReceivedMessage['delivery'], number>();
  readonly #reports: GuardReports;

  constructor(settings: IdempotencyGuardSettings) {
    this.#settings = settings;
    this.#reports = new GuardReports(settings, 'its idempotency store');
    this.#claims = new Claims(settings.store);
  }

  get duplicates(): number {
    return this.#reports.duplicates;
  }

  get obstacle(): string | undefined {
    return this.#reports.obstacle.reason;
  }

  async start(): Promise<void> {}

  stop(): void {}

  async handle(message: ReceivedMessage): Promise<void> {
    const { queue, handler } = this.#settings;
    const id = this.#reports.idOf(message);
    if (id === false) return;
    if (id === undefined) {
      await handler(message);
      return;
    }
    const deferred = message.deferVerdict();
    const key = `${encodeURIComponent(queue)}:${id}`;
    const claim = await this.#claim(message, key);
    if (typeof claim !== 'object') {
      message.endDeferral();
      if (deferred.verdict) message.settle(deferred.verdict);
      else if (claim === 'done') this.#reports.duplicate(message);
      else if (claim === 'busy') message.settle({ kind: 'park', delayMs: this.#nextBusyMs(message) });
      return;
    }
    deferred.begin();
    await this.#runUnder(claim.token, key, message, deferred);
  }

  /** Retries as long as the store is unreachable; undefined when that was in vain. */
  async #claim(message: ReceivedMessage, key: string): Promise<ClaimResult | undefined> {
    const { signal } = message;
    let pauseMs = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      try {
        const claim = await this.#claims.claim(key, this.#settings.leaseMs);
        this.#reports.obstacle.passed();
        if (!signal.aborted) return claim;
        if (typeof claim === 'object') void this.#claims.release(key, claim.token);
      } catch (error) {
        this.#reports.obstacle.met(error);
        await sleep(systemClock, pauseMs, signal);
        pauseMs = Math.min(MAX_PAUSE_MS, 2 * pauseMs);
      }
    }
    return undefined;
  }

  async #runUnder(
    token: string,
    key: string,
    message: ReceivedMessage,
    deferred: DeferredVerdict,
  ): Promise<void> {
    const { handler, ttlMs, leaseMs, queue } = this.#settings;
    const lease = this.#claims.keep(key, token, leaseMs, () => {
      message.abort(new ClosedError(`Another consumer of the queue '${queue}' has claimed the message`));
    });
    let failure: { readonly error: unknown } | undefined;
    try {
      await orTimedOut(Promise.resolve(handler(message)), message);
    } catch (error) {
      failure = { error };
    }
    lease.end();
    const isDone = !failure && !deferred.verdict;
    if (isDone) await this.#claims.done(key, token, ttlMs, lease);
    else await this.#claims.release(key, token);
    message.endDeferral();
    if (failure && !message.hasTimedOut) throw failure.error;
    if (deferred.verdict) message.settle(deferred.verdict);
  }

  #nextBusyMs({ delivery }: ReceivedMessage): number {
    const busyMs = this.#busyMs.get(delivery) ?? FIRST_BUSY_MS;
    this.#busyMs.set(delivery, Math.min(MAX_BUSY_MS, 2 * busyMs));
    return busyMs;
  }
}

/** Settles as the handler does, or rejects when its time is over. */
function orTimedOut(running: Promise<unknown>, message: ReceivedMessage): Promise<unknown> {
  return new Promise((resolve, reject) => {
    message.signal.addEventListener('abort', () => message.hasTimedOut && reject(message.signal.reason), {
      once: true,
    });
    running.then(resolve, reject);
  });
}
