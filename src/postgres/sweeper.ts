import { systemClock, type Timer } from '../util/clock.js';

/** The most rows that one statement removes. */
export const SWEEP_ROWS = 1_000;

export interface SweeperSettings {
  readonly everyMs: number;
  /** Removes at most {@link SWEEP_ROWS}. Resolves with the number removed. */
  readonly sweep: () => Promise<number>;
}

/** Removes expired rows from time to time, as long as it has users. Uses real time, because a database does. */
export class Sweeper {
  readonly #settings: SweeperSettings;
  #users = 0;
  #timer: Timer | undefined;
  #isSweeping = false;

  constructor(settings: SweeperSettings) {
    this.#settings = settings;
  }

  /** Sweeps until the returned function is called. */
  use(): () => void {
    this.#users++;
    if (this.#users === 1 && !this.#isSweeping) this.#arm();
    let isUsed = true;
    return () => {
      if (!isUsed) return;
      isUsed = false;
      this.#users--;
      if (this.#users === 0) this.#disarm();
    };
  }

  #arm(): void {
    this.#timer = systemClock.setTimeout(() => void this.#sweep(), this.#settings.everyMs);
    this.#timer.unref();
  }

  #disarm(): void {
    if (this.#timer) systemClock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #sweep(): Promise<void> {
    this.#isSweeping = true;
    try {
      while (this.#users > 0 && (await this.#settings.sweep()) >= SWEEP_ROWS);
    } catch {
      // The database is unreachable: the next sweep tries again.
    }
    this.#isSweeping = false;
    if (this.#users > 0) this.#arm();
  }
}
