import type { Clock, Timer } from '../../util/clock.js';

/** One timer for the earliest of several requested times. Never keeps the process alive. */
export class AlarmTimer {
  readonly #clock: Clock;
  readonly #onTime: () => void;
  #timer: Timer | undefined;
  #at = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, onTime: () => void) {
    this.#clock = clock;
    this.#onTime = onTime;
  }

  /** Calls back at this time of the clock, or at an earlier requested time: the callback checks what is due. */
  wakeAt(at: number): void {
    if (at >= this.#at) return;
    this.clear();
    this.#at = at;
    this.#timer = this.#clock.setTimeout(
      () => {
        this.clear();
        this.#onTime();
      },
      Math.max(1, Math.ceil(at - this.#clock.now())),
    );
    this.#timer.unref();
  }

  clear(): void {
    if (this.#timer) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#at = Number.POSITIVE_INFINITY;
  }
}
