import { type Clock, sleep } from '../util/clock.js';
import { onAbort } from '../util/on-abort.js';
import { type Deferred, deferred } from '../util/promises.js';

/** The pauses of a loop, which can be cut short. */
export class Wakeup {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #waiting: Deferred<number | undefined>[] = [];
  /** Callers that came before the current round began. */
  #inRound: Deferred<number | undefined>[] = [];
  #isWoken = false;
  #cutShort: AbortController | undefined;

  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.#signal = signal;
  }

  /** Ends the pause, or skips the next one: there may be something to do. */
  wake(): void {
    this.#isWoken = true;
    this.#cutShort?.abort();
  }

  /** Wakes the loop, and resolves with the result of the next whole round; with undefined when there are no more rounds. */
  nextRound(): Promise<number | undefined> {
    if (this.#signal.aborted) return Promise.resolve(undefined);
    const next = deferred<number | undefined>();
    this.#waiting.push(next);
    this.wake();
    return next.promise;
  }

  roundBegins(): void {
    this.#isWoken = false;
    this.#inRound = this.#waiting.splice(0);
  }

  roundEnded(result: number | undefined): void {
    for (const { resolve } of this.#inRound.splice(0)) resolve(result);
    if (result === undefined) for (const { resolve } of this.#waiting.splice(0)) resolve(undefined);
  }

  /** Pauses for this time, or until `wake` is called or the signal aborts. */
  async pause(delayMs: number): Promise<void> {
    if (this.#isWoken) {
      this.#isWoken = false;
      return;
    }
    const cutShort = new AbortController();
    this.#cutShort = cutShort;
    const unsubscribe = onAbort(this.#signal, () => cutShort.abort());
    if (!this.#signal.aborted) await sleep(this.#clock, delayMs, cutShort.signal);
    unsubscribe();
    this.#cutShort = undefined;
  }

  /** Pauses for this time, or until the signal aborts. `wake` does not end it. */
  pauseAnyway(delayMs: number): Promise<void> {
    return sleep(this.#clock, delayMs, this.#signal);
  }
}
