import { ClosedError, ConfigurationError, messageOf, TimeoutError } from '../errors.js';
import { checkOptions, expectDuration, expectInteger, expectString } from '../util/checks.js';
import { type Clock, systemClock, withDeadline } from '../util/clock.js';
import { Obstacle } from '../util/obstacle.js';
import { deferred } from '../util/promises.js';
import type { Relay, RelayHealth, RelayStats } from './relay.js';
import { RelayCounters } from './relay-counters.js';
import type { ResolvedRelayOptions } from './relay-options.js';
import { type RelayEvent, type RelayState, transition } from './relay-state.js';
import type { RelayStore, StoredRow, StuckRow } from './relay-store.js';
import { RetryTimes } from './retry-times.js';
import { type MessageSender, RowSender } from './row-sender.js';
import { Wakeup } from './wakeup.js';

/** What a relay needs from its broker. */
export interface RelayHost {
  readonly clock: Clock;
  readonly sender: RelaySender;
  /** A row could not be sent, and will not be in the present state of things. */
  onStuck(table: string, row: StoredRow, attempts: number, error: Error): void;
  onRelayClosed(relay: TableRelay): void;
  /** The relay ended with an error, which the program does not ask for. */
  onFailed(table: string, error: Error): void;
  /** The database has been unreachable for a while, or is reachable again. */
  onDatabase(table: string, reason: string | undefined): void;
}

/** A sender that belongs to the relay. */
export interface RelaySender extends MessageSender {
  /** Opens the connection if there is none. Resolves when it is open, has failed, or the signal aborts. Never rejects. */
  reach(signal: AbortSignal): Promise<void>;
  /** Abandons the sends in progress. */
  abort(): void;
  close(): Promise<void>;
}

/** The longest pause between two attempts to reach the database. */
const MAX_PAUSE_MS = 5_000;
const FIRST_PAUSE_MS = 100;

/** How often it checks whether a resource alarm is over. */
const LOOK_EVERY_MS = 100;

/** How long an abandoned batch may take to roll back before it is no longer awaited. */
const ROLLBACK_MS = 2_000;

/**
 * The relay behind {@link Relay}: one loop that takes a batch, sends it, and takes the next, or pauses when there was none.
 */
export class TableRelay implements Relay {
  readonly #options: ResolvedRelayOptions;
  readonly #host: RelayHost;
  readonly #store: RelayStore;
  readonly #rows: RowSender;
  readonly #contracts: readonly string[];
  readonly #wakeup: Wakeup;
  readonly #retries: RetryTimes;
  readonly #ready = deferred<void>();
  readonly #closed = deferred<Error | undefined>();
  /** Aborted by `close`: nothing new begins. */
  readonly #ending = new AbortController();
  /** Aborted at the deadline: the current batch is abandoned. */
  readonly #aborting = new AbortController();
  readonly #ignoreCommits: () => void;
  readonly #loop: Promise<void>;
  readonly #startedAt: number;
  /** The program has read `ready` or `closed`, and so learns how the relay ends. */
  #isWatched = false;
  #state: RelayState = { status: 'starting' };
  readonly #obstacle: Obstacle;
  readonly #counters: RelayCounters;
  #sent = 0;
  #closing: Promise<{ clean: boolean }> | undefined;

  constructor(options: ResolvedRelayOptions, host: RelayHost) {
    this.#options = options;
    this.#host = host;
    this.#store = options.store;
    this.#obstacle = new Obstacle((reason) => host.onDatabase(this.#store.table, reason));
    const { engine } = options;
    this.#contracts = [...engine.contracts.keys()];
    this.#rows = new RowSender({
      contracts: engine.contracts,
      sender: host.sender,
      onSent: () => this.#sent++,
      onStuck: (row, attempts, error) => host.onStuck(this.#store.table, row, attempts, error),
    });
    this.#counters = new RelayCounters({
      store: this.#store,
      contracts: this.#contracts,
      clock: host.clock,
      ending: this.#ending.signal,
      aborting: this.#aborting.signal,
    });
    this.#wakeup = new Wakeup(host.clock, this.#ending.signal);
    this.#retries = new RetryTimes(host.clock);
    this.#startedAt = host.clock.now();
    this.#ignoreCommits = engine.onCommitted(() => this.#wakeup.wake());
    this.#loop = this.#run();
  }

  get ready(): Promise<void> {
    this.#isWatched = true;
    return this.#ready.promise;
  }

  get closed(): Promise<Error | undefined> {
    this.#isWatched = true;
    return this.#closed.promise;
  }

  get stats(): RelayStats {
    return { sent: this.#sent, ...this.#counters.stats };
  }

  get health(): RelayHealth {
    const { table } = this.#store;
    const { stats } = this;
    const state = this.#state;
    const { staleMs } = this.#counters;
    if (state.status === 'running' && staleMs !== undefined) {
      const error = `The database has not answered for ${Math.round(staleMs / 1_000)} s`;
      return { table, state: 'waiting', error, ...stats };
    }
    const error = state.status === 'failed' ? state.error : this.#obstacle.reason;
    return { table, state: state.status, error, ...stats };
  }

  async stuck(options: { readonly limit?: number | undefined } = {}): Promise<StuckRow[]> {
    checkOptions('relay.stuck', options, { limit: expectInteger(1, 10_000) });
    return this.#store.stuck(this.#contracts, options.limit ?? 100);
  }

  async discard(id: string): Promise<boolean> {
    const expected = expectString(id);
    if (expected) throw new ConfigurationError('id', `relay.discard: 'id' must be ${expected}`);
    return this.#store.discard(this.#contracts, id);
  }

  close(options?: { readonly timeoutMs?: number | undefined }): Promise<{ readonly clean: boolean }> {
    checkOptions('relay.close', options, { timeoutMs: expectDuration(0, { infinity: true }) });
    this.#closing ??= this.#shutDown(options?.timeoutMs ?? 30_000);
    return this.#closing;
  }

  /** Abandons the current batch, at once. */
  abort(): void {
    this.#ending.abort();
    this.#aborting.abort(new ClosedError('The relay was closed'));
    this.#host.sender.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Resolves when every due committed row was tried, or nothing can be sent, with the number of rows taken. For the testing
   * kit.
   */
  async caughtUp(): Promise<number> {
    await Promise.race([this.#ready.promise.catch(() => {}), this.#closed.promise]);
    let all = 0;
    while (this.#state.status === 'running' && this.#host.sender.isUsable) {
      const taken = await this.#wakeup.nextRound();
      if (taken === 0 || taken === undefined) break;
      all += taken;
    }
    return all;
  }

  #on(event: RelayEvent): void {
    this.#state = transition(this.#state, event);
  }

  async #run(): Promise<void> {
    try {
      await this.#untilReachable(() => this.#store.check(this.#aborting.signal));
      if (this.#ending.signal.aborted) return;
      this.#on({ type: 'found' });
      const counting = this.#counters.readRegularly();
      this.#ready.resolve();
      while (!this.#ending.signal.aborted) await this.#round();
      await counting;
    } catch (error) {
      this.#failed(error as Error);
    } finally {
      this.#wakeup.roundEnded(undefined);
    }
  }

  async #round(): Promise<void> {
    const { sender } = this.#host;
    const { signal } = this.#ending;
    while (!sender.isUsable && !signal.aborted) {
      await sender.reach(signal);
      if (!sender.isUsable) await this.#wakeup.pause(LOOK_EVERY_MS);
    }
    if (signal.aborted) return;
    this.#wakeup.roundBegins();
    const taken = await this.#untilReachable(() => this.#batch());
    if (taken > 0 && this.#store.statsEveryMs === 0) await this.#counters.read();
    this.#wakeup.roundEnded(taken);
    // A batch of which nothing was sent would only be taken again.
    if (taken > 0 && sender.isUsable) return;
    await this.#wakeup.pause(Math.min(this.#options.pollMs, this.#retries.nextInMs()));
  }

  /** Resolves with the number of rows that were sent or failed. */
  async #batch(): Promise<number> {
    const { batch: limit } = this.#options;
    const request = {
      limit,
      contracts: this.#contracts,
      aheadMs: this.#aheadMs(),
      signal: this.#aborting.signal,
    };
    let tried = 0;
    await this.#store.batch(request, async (rows, takenAt) => {
      const outcomes = await this.#rows.send(rows, takenAt, this.#aborting.signal);
      tried = outcomes.length;
      for (const it of outcomes) if (it.kind === 'failed') this.#retries.add(it.delayMs);
      return outcomes;
    });
    return tried;
  }

  /** Retries with growing pauses until it succeeds or the relay ends. A permanent error is thrown. */
  async #untilReachable<T>(attempt: () => Promise<T>): Promise<T | 0> {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(MAX_PAUSE_MS, 2 * pauseMs)) {
      try {
        const result = await attempt();
        this.#on({ type: 'back' });
        this.#obstacle.passed();
        return result;
      } catch (error) {
        if (error instanceof ConfigurationError && this.#state.status === 'starting') throw error;
        if (this.#ending.signal.aborted) return 0;
        this.#on({ type: 'lost' });
        this.#obstacle.met(error);
        await this.#wakeup.pauseAnyway(pauseMs);
        if (this.#ending.signal.aborted) return 0;
      }
    }
  }

  /** How far a virtual clock is ahead of the real time that the database uses; 0 for the system clock. */
  #aheadMs(): number {
    const { clock } = this.#host;
    return clock === systemClock ? 0 : clock.now() - this.#startedAt;
  }

  #failed(error: Error): void {
    this.#ignoreCommits();
    this.#ending.abort();
    this.#on({ type: 'fail', error: messageOf(error) });
    this.#closing ??= Promise.resolve({ clean: true });
    this.#ready.reject(error);
    this.#closed.resolve(error);
    if (!this.#isWatched) this.#host.onFailed(this.#store.table, error);
    void this.#host.sender.close();
  }

  async #shutDown(timeoutMs: number): Promise<{ clean: boolean }> {
    const { sender } = this.#host;
    this.#on({ type: 'close' });
    this.#ignoreCommits();
    this.#ending.abort();
    let clean = true;
    const timeoutError = () => new TimeoutError('closing did not finish in time');
    const done = this.#loop.then(() => sender.close());
    try {
      // Real time, also under a virtual clock, which may not move any more.
      await withDeadline(systemClock, done, timeoutMs, timeoutError);
    } catch {
      clean = false;
      this.abort();
      await withDeadline(systemClock, done, ROLLBACK_MS, timeoutError).catch(() => {});
    }
    this.#on({ type: 'ended' });
    this.#ready.reject(new ClosedError('The relay was closed before it was ready'));
    this.#closed.resolve(undefined);
    this.#host.onRelayClosed(this);
    return { clean };
  }
}
