import type { Clock } from '../util/clock.js';
import type { ReceivedMessage } from './delivery/message.js';
import type { Session } from './session/session.js';

/** How much work is to wait here, and from how much on what waits does more harm than good. */
const WAITING_MS = 200;
const TOO_MUCH_MS = 2_000;

/** So many runs are looked at before anything is changed. */
const ENOUGH_RUNS = 8;

/** Grown to less than so many times as much, it would only grow again. */
const MIN_GROWTH = 2;

/** After it had to shrink, it does not grow for so long: what it gives back is delivered again. */
const REST_MS = 30_000;

/** How much the last run counts for the average. */
const WEIGHT = 0.3;

/** Of runs that take no time, one in so many is measured. */
const MAX_SKIPPED = 15;

export interface AdaptivePrefetchSettings {
  readonly clock: Clock;
  readonly concurrency: number;
  readonly maxPrefetch: number;
  /** The handler has become slow: all but so many of the messages that wait are to go back to the queue. */
  readonly onTooMuch: (session: Session, kept: number) => void;
}

/**
 * Keeps about 200 ms of work waiting beside what is at work. Quick handlers get the throughput of a large prefetch, slow ones leave
 * their messages to other workers. It measures one run at a time, and lets the session grow when the server has used up its
 * prefetch.
 */
export class AdaptivePrefetch {
  readonly #settings: AdaptivePrefetchSettings;
  /** The run that is measured. */
  #message: ReceivedMessage | undefined;
  #startedAt = 0;
  /** Runs that are not measured before the next one is. */
  #skipped = 0;
  #runs = 0;
  #averageMs = 0;
  #lastMs = 0;
  #restsUntil = Number.NEGATIVE_INFINITY;

  constructor(settings: AdaptivePrefetchSettings) {
    this.#settings = settings;
  }

  /** Its handler begins, or a loop takes it. */
  begun(message: ReceivedMessage): void {
    if (this.#message !== undefined || this.#skipped-- > 0) return;
    this.#message = message;
    this.#startedAt = this.#settings.clock.now();
  }

  /** Its place is free. */
  ended(message: ReceivedMessage): void {
    if (message !== this.#message) return;
    this.#message = undefined;
    const now = this.#settings.clock.now();
    const tookMs = now - this.#startedAt;
    this.#skipped = this.#runs < ENOUGH_RUNS ? 0 : Math.min(MAX_SKIPPED, Math.floor(1 / tookMs));
    this.#averageMs = this.#runs++ === 0 ? tookMs : this.#averageMs + WEIGHT * (tookMs - this.#averageMs);
    // A single long one may be a pause of the whole process.
    const surelyMs = tookMs > TOO_MUCH_MS ? tookMs : Math.min(tookMs, this.#lastMs);
    this.#lastMs = tookMs;
    this.#adapt(message.session, surelyMs, now);
  }

  /** @param surelyMs - so long a run takes now, at least */
  #adapt(session: Session, surelyMs: number, now: number): void {
    const { concurrency, maxPrefetch, onTooMuch } = this.#settings;
    const waiting = Math.max(1, Math.floor((concurrency * WAITING_MS) / this.#averageMs));
    if (session.hasGrown && (session.unsettledCount * surelyMs) / concurrency > TOO_MUCH_MS) {
      this.#runs = 0;
      this.#restsUntil = now + REST_MS;
      onTooMuch(session, waiting);
      return;
    }
    if (this.#runs < ENOUGH_RUNS || now < this.#restsUntil || !session.wasFull) return;
    const wanted = Math.min(maxPrefetch, concurrency + waiting);
    if (wanted < MIN_GROWTH * session.prefetch) return;
    this.#runs = 0;
    session.grow(wanted);
  }
}
