import { type Clock, sleep } from '../util/clock.js';
import { realTimers } from '../util/timers.js';
import type { RelayStore, StoreStats } from './relay-store.js';

/** Counters that are older mean that the database does not answer, although no statement has failed. */
const STALE_MS = 10_000;

export interface RelayCountersSettings {
  readonly store: RelayStore;
  readonly contracts: readonly string[];
  readonly clock: Clock;
  /** Ends the regular reading. */
  readonly ending: AbortSignal;
  /** Abandons a reading in progress. */
  readonly aborting: AbortSignal;
}

/** The counters of a relay's table, read at regular intervals. */
export class RelayCounters {
  readonly #settings: RelayCountersSettings;
  #stats: StoreStats = { waiting: 0, oldestMs: 0, stuck: 0 };
  #readAt: number | undefined;
  #reading: Promise<void> | undefined;

  constructor(settings: RelayCountersSettings) {
    this.#settings = settings;
  }

  /** As they were last read. */
  get stats(): StoreStats {
    return this.#stats;
  }

  /** The age of the counters, if it shows that the database does not answer; undefined otherwise. */
  get staleMs(): number | undefined {
    if (this.#readAt === undefined || this.#settings.store.statsEveryMs === 0) return undefined;
    const ageMs = realTimers.now() - this.#readAt;
    return ageMs > STALE_MS ? ageMs : undefined;
  }

  /** Reads the counters regularly, from now until the relay ends. Never rejects. */
  async readRegularly(): Promise<void> {
    const { store, clock, ending } = this.#settings;
    this.#readAt = realTimers.now();
    while (!ending.aborted) {
      if (this.#isDue()) await this.read();
      await sleep(clock, Math.max(1_000, store.statsEveryMs), ending);
    }
  }

  /** Reads the counters, unless that is in progress. Never rejects. */
  read(): Promise<void> {
    const { store, contracts, aborting } = this.#settings;
    this.#reading ??= store
      .stats(contracts, aborting)
      .then(
        (stats) => {
          this.#stats = stats;
          this.#readAt = realTimers.now();
        },
        // Asked again in a moment; the loop reports that the database is unreachable.
        () => {},
      )
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }

  #isDue(): boolean {
    return realTimers.now() - (this.#readAt ?? 0) >= this.#settings.store.statsEveryMs / 2;
  }
}
