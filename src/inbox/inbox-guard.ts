import type { DeferredVerdict } from '../consumer/delivery/deferred-verdict.js';
import type { ReceivedMessage } from '../consumer/delivery/message.js';
import type { HandlerGuard } from '../consumer/workers/handler-guard.js';
import { ConfigurationError } from '../errors.js';
import { sleep, systemClock } from '../util/clock.js';
import { onAbort } from '../util/on-abort.js';
import { GuardReports, type GuardReportsSettings } from './guard-reports.js';
import type { InboxEngine, InboxEntry } from './inbox.js';

export interface InboxGuardSettings<Tx> extends GuardReportsSettings {
  readonly engine: InboxEngine<Tx>;
  readonly maxIdleMs: number;
  readonly handler: (message: ReceivedMessage, tx: Tx) => unknown;
}

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;

/** The time for an abandoned transaction to roll back. After it, the transaction is no longer awaited. */
const ROLLBACK_MS = 5_000;

/**
 * Runs a handler inside a transaction that first records the message, and settles the message after the transaction has
 * ended.
 */
export class InboxGuard<Tx> implements HandlerGuard {
  readonly #settings: InboxGuardSettings<Tx>;
  readonly #stopping = new AbortController();
  readonly #reports: GuardReports;
  #stopCleaning: (() => void) | undefined;
  #started: Promise<void> | undefined;

  constructor(settings: InboxGuardSettings<Tx>) {
    this.#settings = settings;
    this.#reports = new GuardReports(settings, 'the database of its inbox');
  }

  get duplicates(): number {
    return this.#reports.duplicates;
  }

  get obstacle(): string | undefined {
    return this.#reports.obstacle.reason;
  }

  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  stop(): void {
    this.#stopping.abort();
    this.#stopCleaning?.();
  }

  async handle(message: ReceivedMessage): Promise<void> {
    const { queue } = this.#settings;
    const id = this.#reports.idOf(message);
    if (id === false) return;
    const deferred = message.deferVerdict();
    let failure: { readonly error: unknown } | undefined;
    try {
      await this.#untilHandled(message, deferred, id === undefined ? undefined : { queue, id });
    } catch (error) {
      failure = { error };
      deferred.fail(error);
    }
    message.endDeferral();
    // The worker reports the handler's error, and then lets the retry policy decide.
    if (failure && deferred.hasBegun && !message.hasTimedOut) throw failure.error;
    if (deferred.verdict) message.settle(deferred.verdict);
  }

  async #start(): Promise<void> {
    const { engine } = this.#settings;
    const { signal } = this.#stopping;
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(MAX_PAUSE_MS, 2 * pauseMs)) {
      try {
        await engine.check();
        this.#reports.obstacle.passed();
        if (!signal.aborted) this.#stopCleaning = engine.keepClean();
        return;
      } catch (error) {
        if (error instanceof ConfigurationError) throw error;
        this.#reports.obstacle.met(error);
        await sleep(systemClock, pauseMs, signal);
      }
    }
  }

  /** Retries as long as the database is unreachable. Rejects when the handler, or the commit, has failed. */
  async #untilHandled(
    message: ReceivedMessage,
    deferred: DeferredVerdict,
    entry: InboxEntry | undefined,
  ): Promise<void> {
    const { signal } = message;
    await orAborted(this.start(), signal);
    let pauseMs = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      try {
        const result = await this.#run(message, deferred, entry);
        this.#reports.obstacle.passed();
        if (result === 'busy') continue;
        if (result === 'duplicate') {
          message.endDeferral();
          this.#reports.duplicate(message);
        }
        return;
      } catch (error) {
        if (deferred.hasBegun) {
          // Rolled back because the handler gave another verdict.
          if (deferred.verdict) return;
          throw error;
        }
        if (signal.aborted) return;
        this.#reports.obstacle.met(error);
        await sleep(systemClock, pauseMs, signal);
        pauseMs = Math.min(MAX_PAUSE_MS, 2 * pauseMs);
      }
    }
  }

  #run(message: ReceivedMessage, deferred: DeferredVerdict, entry: InboxEntry | undefined) {
    const { engine, handler, maxIdleMs } = this.#settings;
    const giveUp = new AbortController();
    // A handler whose delivery is lost may still finish: the next run then finds the message recorded.
    const unsubscribe = onAbort(message.signal, () => {
      if (!deferred.hasBegun || message.hasTimedOut) giveUp.abort(message.signal.reason);
    });
    const work = async (tx: Tx) => {
      deferred.begin();
      this.#reports.obstacle.passed();
      await handler(message, tx);
      if (deferred.verdict) throw new Error('rolled back: the handler gave the message another verdict');
    };
    const running = engine.run(entry, { maxIdleMs, signal: giveUp.signal }, work);
    return withinLimit(running, giveUp.signal).finally(unsubscribe);
  }
}

/** Resolves as soon as the signal aborts, whatever the promise does. */
function orAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const unsubscribe = onAbort(signal, resolve);
    if (signal.aborted) resolve();
    promise.then(resolve, reject).finally(unsubscribe);
  });
}

/** Settles as the promise does, or rejects some time after the signal has aborted. */
function withinLimit<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const limit = () => systemClock.setTimeout(() => reject(signal.reason as Error), ROLLBACK_MS).unref();
    const unsubscribe = onAbort(signal, limit);
    promise.then(resolve, reject).finally(unsubscribe);
  });
}
