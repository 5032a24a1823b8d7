import type { Events } from '../event-emitter.js';
import { realTimers } from '../util/timers.js';

/** How long a start takes before it is reported, in milliseconds. */
const SLOW_START_MS = 2_000;

/** Reports a first connection that takes long, unless a failed attempt was reported. */
export class SlowStart {
  readonly #events: Events;
  readonly #startupTimeoutMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isHeard = false;
  #reason: Error | undefined;

  constructor(events: Events, startupTimeoutMs: number) {
    this.#events = events;
    this.#startupTimeoutMs = startupTimeoutMs;
  }

  dialling(): void {
    this.#timer ??= realTimers.setTimeout(() => this.#report(), SLOW_START_MS).unref();
  }

  failed(reason: Error): void {
    this.#reason = reason;
    if (!this.#events.isUnheard('connect-failed')) this.#isHeard = true;
  }

  /** The start has succeeded, or was given up. */
  ended(): void {
    realTimers.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isHeard = false;
    this.#reason = undefined;
  }

  #report(): void {
    if (this.#isHeard) return;
    const why = this.#reason ? `: ${this.#reason.message}` : '';
    const limit = Number.isFinite(this.#startupTimeoutMs)
      ? `for ${this.#startupTimeoutMs / 1_000} s in all`
      : 'without end';
    const text = `Leveret: no connection to RabbitMQ after ${SLOW_START_MS / 1_000} s${why}`;
    this.#events.warn(
      'LEVERET_CONNECTING',
      'start',
      `${text}. It keeps trying ${limit} ('startupTimeoutMs')`,
    );
  }
}
