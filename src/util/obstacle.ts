import { messageOf } from '../errors.js';
import { realTimers } from './timers.js';

/** An obstacle is reported after this long: a restart takes less. */
const TELL_AFTER_MS = 5_000;

/** The reason why a part cannot do its work. Health shows it at once; it is reported only if it lasts. */
export class Obstacle {
  readonly #tell: (reason: string | undefined) => void;
  #reason: string | undefined;
  #since: number | undefined;
  #isTold = false;

  /** @param tell - called once the obstacle has lasted for 5 s, and with undefined when it is gone after that */
  constructor(tell: (reason: string | undefined) => void) {
    this.#tell = tell;
  }

  get reason(): string | undefined {
    return this.#reason;
  }

  met(error: unknown): void {
    this.#reason = messageOf(error);
    this.#since ??= realTimers.now();
    if (this.#isTold || realTimers.now() - this.#since < TELL_AFTER_MS) return;
    this.#isTold = true;
    this.#tell(this.#reason);
  }

  passed(): void {
    this.#reason = undefined;
    this.#since = undefined;
    if (!this.#isTold) return;
    this.#isTold = false;
    this.#tell(undefined);
  }
}
