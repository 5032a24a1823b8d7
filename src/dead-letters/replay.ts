import { receiveBody } from '../contracts/body/body.js';
import type { QueueContract } from '../contracts/types.js';
import { ConnectionError } from '../errors.js';
import { replayCopy } from '../messages/copies.js';
import type { Publisher } from '../producer/publisher/publisher.js';
import { publishCopy } from '../producer/republisher.js';
import { classify } from '../transport/failures.js';
import { type Delivery, TransportError } from '../transport/port.js';
import { type Clock, raceAbort, sleep } from '../util/clock.js';
import { isThenable } from '../util/promises.js';
import { describeDeadLetter, isDeadLetterOf } from './entry.js';
import type { ReplayOptions, ReplayResult } from './options.js';
import type { QueueScan } from './queue-scan.js';

/** How many dead letters may be on their way back at once. As many can be in both queues if this process dies. */
export const REPLAYS_IN_FLIGHT = 32;

export interface ReplaySettings {
  readonly contract: QueueContract;
  readonly options: ReplayOptions;
  readonly scan: QueueScan;
  /** Publishes to the contract's queue. */
  readonly publisher: Publisher;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  /** Called with the id of each dead letter before it is put back. */
  readonly onReplay: ((messageId: string | undefined) => void) | undefined;
  /** Ends the replay after the current dead letters. */
  readonly signal: AbortSignal;
}

/** Puts the dead letters of one scan back into their queue: confirmed there before they are removed here. */
export class Replay {
  readonly #settings: ReplaySettings;
  readonly #counts = { replayed: 0, invalid: 0, skipped: 0 };
  readonly #inFlight = new Set<Promise<void>>();
  #begun = 0;
  #done = 0;
  #nextAt = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(settings: ReplaySettings) {
    this.#settings = settings;
  }

  /**
   * Resolves when all dead letters were processed, or as many were put back as requested. Everything in progress is settled
   * by then, also when it rejects.
   */
  async run(): Promise<ReplayResult> {
    try {
      await this.#goOver();
    } catch (error) {
      this.#failed(error);
    }
    await Promise.all(this.#inFlight);
    if (this.#failure) throw this.#explain(this.#failure.error);
    return { ...this.#counts };
  }

  async #goOver(): Promise<void> {
    const { options, scan, signal } = this.#settings;
    while (!this.#failure && this.#begun < (options.limit ?? Number.POSITIVE_INFINITY)) {
      signal.throwIfAborted();
      if (scan.needsRest) await Promise.all(this.#inFlight);
      const delivery = await scan.next();
      if (!delivery) return;
      const fate = await raceAbort(this.#decide(delivery), signal);
      if (fate !== 'replayed') {
        scan.keep(delivery);
        if (fate !== 'foreign') this.#counts[fate]++;
        this.#report();
        continue;
      }
      await this.#pace();
      this.#begun++;
      const back = this.#putBack(delivery).finally(() => this.#inFlight.delete(back));
      this.#inFlight.add(back);
      if (this.#inFlight.size >= REPLAYS_IN_FLIGHT) await Promise.race(this.#inFlight);
    }
  }

  async #decide(delivery: Delivery): Promise<keyof ReplayResult | 'foreign'> {
    const { contract, options, maxBodyBytes } = this.#settings;
    if (!isDeadLetterOf(contract, delivery)) return 'foreign';
    const { ok } = await receiveBody(contract, delivery, maxBodyBytes);
    if (!ok) return 'invalid';
    const isWanted = !options.filter || (await options.filter(describeDeadLetter(contract, delivery)));
    return isWanted ? 'replayed' : 'skipped';
  }

  async #pace(): Promise<void> {
    const { options, clock, signal } = this.#settings;
    if (options.ratePerSecond === undefined) return;
    const now = clock.now();
    const at = Math.max(now, this.#nextAt);
    this.#nextAt = at + 1_000 / options.ratePerSecond;
    if (at > now) await sleep(clock, at - now, signal);
    signal.throwIfAborted();
  }

  /** Never rejects. */
  async #putBack(delivery: Delivery): Promise<void> {
    const { contract, publisher, scan } = this.#settings;
    try {
      this.#settings.onReplay?.(delivery.properties.messageId as string | undefined);
      await publishCopy(publisher, (options) => replayCopy(delivery, contract, options));
      this.#counts.replayed++;
      scan.remove(delivery);
      this.#report();
    } catch (error) {
      this.#failed(error);
    }
  }

  #report(): void {
    this.#done++;
    const { options, scan } = this.#settings;
    const answer: unknown = options.onProgress?.({ done: this.#done, total: scan.total });
    // An async function: its promise is not awaited, and its rejection counts as a throw.
    if (isThenable(answer)) answer.then(undefined, (error: unknown) => this.#failed(error));
  }

  #failed(error: unknown): void {
    this.#failure ??= { error };
  }

  /** The scan has lost its channel: explains what that means for the dead letters. */
  #explain(error: unknown): unknown {
    if (!(error instanceof TransportError)) return error;
    switch (classify(error)) {
      // The user may not read the queue, or the queue is gone: the server's words are enough.
      case 'access':
      case 'exclusive':
      case 'missing':
      case 'unavailable':
        return error;
    }
    const { deadLetter = '' } = this.#settings.contract;
    const message =
      `The replay of '${deadLetter}' was interrupted after ${this.#counts.replayed} dead letters (${error.message}). No message was lost; ` +
      `up to ${REPLAYS_IN_FLIGHT} of the last replayed may also still be in '${deadLetter}'. Call replay() again to continue`;
    return new ConnectionError('CONNECTION_FAILED', message, { cause: error });
  }
}
