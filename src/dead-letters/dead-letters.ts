import type { InputOf, Schema } from '../contracts/body/schema.js';
import { isQueue } from '../contracts/guards.js';
import type { QueueContract } from '../contracts/types.js';
import { ConfigurationError } from '../errors.js';
import { classify } from '../transport/failures.js';
import { toPublicError } from '../transport/public-errors.js';
import { show } from '../util/checks.js';
import { type DeadLetterEntry, describeDeadLetter, isDeadLetterOf } from './entry.js';
import type { DeadLetterOperations } from './operations.js';
import {
  checkListOptions,
  checkReplayOptions,
  type ListDeadLettersOptions,
  type ReplayOptions,
  type ReplayResult,
} from './options.js';
import { QueueScan, type QueueScanSettings } from './queue-scan.js';
import { REPLAYS_IN_FLIGHT, Replay } from './replay.js';

/**
 * The dead letters of one queue. Created by `broker.deadLetters(contract)`.
 *
 * A dead-letter queue can serve several queues (`deadLetter: 'common.dead'`). This object covers only the dead letters that
 * come from its own queue; the others stay where they are and are not counted. Dead letters that do not name their queue
 * belong to the queue that the dead-letter queue is named after.
 *
 * While dead letters are being read, other readers do not see them: a list or a replay at the same time, in this process or
 * another, finds the rest. They are requeued in their order. If this process dies meanwhile, the server requeues them, from
 * RabbitMQ 4.0 on in their order as well. Before 4.3 that counts towards the delivery limit. The dead-letter queues that
 * Leveret declares allow a million requeues; a dead-letter queue that another program declared may have a smaller limit.
 *
 * If the dead-letter queue does not exist and the contract declares its queue, it is declared, and empty.
 */
export interface DeadLetters<S extends Schema = Schema> {
  /** The queue that the dead letters come from. */
  readonly contract: QueueContract<S>;
  /**
   * Lists dead letters, oldest first, without removing them.
   *
   * @throws TopologyError NOT_FOUND when the dead-letter queue is missing and the contract does not declare it
   * @throws ConfigurationError; ConnectionError, TimeoutError, ClosedError; the reason of the `signal` when that aborts
   */
  list(options?: ListDeadLettersOptions): Promise<DeadLetterEntry<InputOf<S>>[]>;
  /**
   * Puts dead letters back into their queue: with the same body, id and headers, without the headers that the failure added,
   * and at attempt 1 again. Goes once over the dead letters that exist at the start. Those that do not match the schema as it
   * is today stay, and so do those that the filter leaves out. Each is confirmed in its queue, and only then removed here.
   *
   * No dead letter is ever lost. If the process or the connection dies midway, up to 32 can be in both queues: call `replay`
   * again for the rest. The publishing connection may take up to 30 s to recover for each dead letter; if the connection that
   * reads them is lost, the replay rejects. `broker.close()` ends it after the current dead letters.
   *
   * @throws RejectedError, UnroutableError, TopologyError, TimeoutError: a dead letter could not be put back; it stays
   * @throws ConnectionError the dead letters can no longer be read; ClosedError the broker was closed
   * @throws ConfigurationError; an error thrown by `filter` or `onProgress`; the reason of the `signal` when that aborts
   */
  replay(options?: ReplayOptions<InputOf<S>>): Promise<ReplayResult>;
  /**
   * Removes the dead letters that exist now, one by one. Resolves with their number. `broker.purge('<queue>.dead')` empties a
   * whole dead-letter queue at once, including the dead letters of other queues.
   *
   * @throws TopologyError NOT_FOUND when the dead-letter queue is missing and the contract does not declare it
   * @throws ConnectionError, TimeoutError, ClosedError: some may be removed
   */
  purge(): Promise<number>;
}

/** How many dead letters may be prefetched. */
const PREFETCH = 100;

/** The prefetch of a rate-limited replay, in seconds of its work. */
const PREFETCH_SECONDS = 10;

/** How often a list starts over after its connection was lost. */
const LIST_ATTEMPTS = 3;

/** The object behind {@link DeadLetters}, without its types. */
class QueueDeadLetters implements DeadLetters {
  readonly contract: QueueContract;
  readonly #operations: DeadLetterOperations;

  constructor(contract: QueueContract, operations: DeadLetterOperations) {
    this.contract = contract;
    this.#operations = operations;
  }

  async list(options: ListDeadLettersOptions = {}): Promise<DeadLetterEntry[]> {
    checkListOptions(options);
    const { limit = 100, signal } = options;
    return this.#run(signal, async (stop) => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#overAll(stop, PREFETCH, (scan) => this.#look(scan, limit));
        } catch (error) {
          if (classify(error) !== 'lost' || attempt === LIST_ATTEMPTS) throw error;
        }
      }
    });
  }

  async replay(options: ReplayOptions = {}): Promise<ReplayResult> {
    checkReplayOptions(options);
    const { ratePerSecond = Number.POSITIVE_INFINITY, signal } = options;
    const prefetch = Math.min(PREFETCH, Math.ceil(ratePerSecond * PREFETCH_SECONDS));
    return this.#run(signal, (stop) =>
      this.#operations.publishing(this.contract, REPLAYS_IN_FLIGHT, (publisher) =>
        this.#overAll(stop, prefetch, (scan) => {
          const { clock, maxBodyBytes } = this.#operations;
          const { contract } = this;
          return new Replay({
            contract,
            options,
            scan,
            publisher,
            clock,
            maxBodyBytes,
            onReplay: this.#operations.onReplay,
            signal: stop,
          }).run();
        }),
      ),
    );
  }

  purge(): Promise<number> {
    return this.#run(undefined, (stop) =>
      this.#overAll(stop, PREFETCH, async (scan) => {
        let removed = 0;
        for (let delivery = await scan.next(); delivery; delivery = await scan.next()) {
          if (isDeadLetterOf(this.contract, delivery)) {
            scan.remove(delivery);
            removed++;
          } else {
            scan.keep(delivery);
          }
        }
        return removed;
      }),
    );
  }

  async #look(scan: QueueScan, limit: number): Promise<DeadLetterEntry[]> {
    const entries: DeadLetterEntry[] = [];
    while (entries.length < limit) {
      const delivery = await scan.next();
      if (!delivery) break;
      if (isDeadLetterOf(this.contract, delivery)) entries.push(describeDeadLetter(this.contract, delivery));
      scan.keep(delivery);
    }
    return entries;
  }

  async #overAll<T>(
    signal: AbortSignal,
    prefetch: number,
    work: (scan: QueueScan) => Promise<T>,
  ): Promise<T> {
    const { connection, clock } = this.#operations;
    const settings: QueueScanSettings = { contract: this.contract, connection, clock, signal, prefetch };
    const scan = await QueueScan.open(settings);
    try {
      return await work(scan);
    } finally {
      await scan.close();
    }
  }

  async #run<T>(signal: AbortSignal | undefined, work: (stop: AbortSignal) => Promise<T>): Promise<T> {
    try {
      return await this.#operations.run(signal, work);
    } catch (error) {
      throw toPublicError(error, this.contract.deadLetter ?? '');
    }
  }
}

/** @throws ConfigurationError for a contract without dead letters */
export function deadLettersOf<S extends Schema>(
  contract: QueueContract<S>,
  operations: DeadLetterOperations,
): DeadLetters<S> {
  checkDeadLetters(contract);
  return new QueueDeadLetters(contract, operations) as unknown as DeadLetters<S>;
}

function checkDeadLetters(contract: unknown): void {
  const where = 'broker.deadLetters';
  if (!isQueue(contract)) {
    const expected = 'a contract made by queue()';
    throw new ConfigurationError('contract', `${where}: expected ${expected}, got ${show(contract)}`);
  }
  if (contract.deadLetter === undefined) {
    const expected = `a queue with dead letters, got '${contract.name}' with deadLetter: false`;
    throw new ConfigurationError('deadLetter', `${where}: expected ${expected}`);
  }
}
