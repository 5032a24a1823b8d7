import type { Clock } from '../../util/clock.js';
import type { Session } from '../session/session.js';
import type { ReceivedMessage } from './message.js';

/** The work that should wait here, as the time that it takes. */
const WAITING_MS = 200;

/** Work beyond this should go to other consumers. */
const TOO_MUCH_MS = 2_000;

/** The number of runs that are observed before the prefetch changes. */
const ENOUGH_RUNS = 8;

/** The prefetch at least doubles when it grows: a smaller step would soon need another one. */
const MIN_GROWTH = 2;

/** The prefetch does not grow for this long after it had to shrink, because each shrinking requeues messages. */
const REST_MS = 30_000;

/** The weight of the last run in the average. */
const WEIGHT = 0.3;

/** The most runs that are skipped before the next one is measured: the quicker the last one was, the more. */
const MAX_SKIPPED = 15;

export interface AdaptivePrefetchSettings {
  readonly clock: Clock;
  readonly concurrency: number;
  readonly maxPrefetch: number;
  /** The handler has become slow: all but this many of the waiting messages should be requeued. */
  readonly onTooMuch: (session: Session, kept: number) => void;
}

/**
 * Keeps about 200 ms of work waiting beside the running handlers. Quick handlers get the throughput of a large prefetch, slow
 * ones leave their messages to other workers. It measures one run at a time, and lets the session grow when the server has
 * used up its prefetch.
 */
export class AdaptivePrefetch {
  readonly #settings: AdaptivePrefetchSettings;
  /** The message whose run is measured. */
  #message: ReceivedMessage | undefined;
  #startedAt = 0;
  /** The runs to skip before the next one is measured. */
  #skipped = 0;
  #runs = 0;
  #averageMs = 0;
  #lastMs = 0;
  #restsUntil = Number.NEGATIVE_INFINITY;

  constructor(settings: AdaptivePrefetchSettings) {
    this.#settings = settings;
  }

  /** The message's handler begins, or a loop takes it. */
  begun(message: ReceivedMessage): void {
    if (this.#message !== undefined || this.#skipped-- > 0) return;
    this.#message = message;
    this.#startedAt = this.#settings.clock.now();
  }

  /** The message's place is free. */
  ended(message: ReceivedMessage): void {
    if (message !== this.#message) return;
    this.#message = undefined;
    const now = this.#settings.clock.now();
    const tookMs = now - this.#startedAt;
    this.#skipped = this.#runs < ENOUGH_RUNS ? 0 : Math.min(MAX_SKIPPED, Math.floor(1 / tookMs));
    this.#averageMs = this.#runs++ === 0 ? tookMs : this.#averageMs + WEIGHT * (tookMs - this.#averageMs);
    // A single long run may be a pause of the whole process.
    const surelyMs = tookMs > TOO_MUCH_MS ? tookMs : Math.min(tookMs, this.#lastMs);
    this.#lastMs = tookMs;
    this.#adapt(message.session, surelyMs, now);
  }

  /** @param surelyMs - the time that a run takes now, at least */
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
