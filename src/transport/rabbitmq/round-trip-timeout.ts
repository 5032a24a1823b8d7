import type { Clock, Timer } from '../../util/clock.js';

/** A pending answer. */
interface Wait {
  timer: Timer | undefined;
  readonly end: () => void;
}

/**
 * The time limit for the server's answers. While an alarm blocks a connection, the server reads nothing from it. That time does not
 * count, because a new connection would be blocked, too, for as long as the alarm lasts.
 */
export class RoundTripTimeout {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #waits = new Set<Wait>();
  /** Callbacks of waits that end as soon as the timeout is paused. */
  readonly #untilPaused = new Set<() => void>();
  #isPaused = false;

  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock;
    this.#limitMs = limitMs;
  }

  /** Settles as the answer does, or rejects with the result of `onLate` after the time limit. */
  within<T>(answer: Promise<T>, onLate: () => Error): Promise<T> {
    return new Promise((resolve, reject) => {
      const wait: Wait = {
        timer: undefined,
        end: () => {
          this.#waits.delete(wait);
          reject(onLate());
        },
      };
      this.#waits.add(wait);
      if (!this.#isPaused) this.#arm(wait);
      const ended = () => {
        this.#waits.delete(wait);
        this.#disarm(wait);
      };
      answer.finally(ended).then(resolve, reject);
    });
  }

  /** Resolves when the answer has arrived, whatever it is, or as soon as the timeout is paused. */
  unlessPaused(answer: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#untilPaused.delete(done);
        resolve();
      };
      answer.then(done, done);
      if (this.#isPaused) done();
      else this.#untilPaused.add(done);
    });
  }

  /** The server reads nothing from now on. */
  pause(): void {
    this.#isPaused = true;
    for (const wait of this.#waits) this.#disarm(wait);
    for (const done of [...this.#untilPaused]) done();
  }

  /** The server reads again, and pending answers get the whole limit. */
  resume(): void {
    this.#isPaused = false;
    for (const wait of this.#waits) if (!wait.timer) this.#arm(wait);
  }

  #arm(wait: Wait): void {
    wait.timer = this.#clock.setTimeout(wait.end, this.#limitMs);
  }

  #disarm(wait: Wait): void {
    if (wait.timer) this.#clock.clearTimeout(wait.timer);
    wait.timer = undefined;
  }
}
