import { toPublicError } from '../broker/administration.js';
import type { InputOf, Schema } from '../contracts/body/schema.js';
import { isQueue } from '../contracts/guards.js';
import type { QueueContract } from '../contracts/queue.js';
import { ConfigurationError } from '../errors.js';
import { TransportError } from '../transport/port.js';
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
 * The dead letters of one queue. Made by `broker.deadLetters(contract)`.
 *
 * A dead-letter queue can serve several queues (`deadLetter: 'common.dead'`): here are only the letters that come from this one;
 * the others stay where they are, and are not counted. Letters that do not say where they come from belong to the queue that the
 * dead-letter queue is named after.
 *
 * While letters are looked at, nobody else sees them: a list or a replay at the same time, in this process or another, finds the
 * rest. They go back in their order; when this process dies meanwhile, the server takes them back, from RabbitMQ 4.0 on in
 * their order too. Before 4.3 that counts as a return, which the dead-letter queues that Leveret declares allow a million times; a dead-letter queue of another
 * make may have a smaller delivery limit.
 *
 * A dead-letter queue that does not exist is declared, and empty, when the contract declares its queue.
 */
export interface DeadLetters<S extends Schema = Schema> {
  /** The queue that the letters come from. */
  readonly contract: QueueContract<S>;
  /**
   * Shows letters, the oldest first, and leaves them where they are.
   *
   * @throws TopologyError NOT_FOUND when the dead-letter queue is missing and the contract does not declare it
   * @throws ConfigurationError; ConnectionError, TimeoutError, ClosedError; the reason of the `signal` when that aborts
   */
  list(options?: ListDeadLettersOptions): Promise<DeadLetterEntry<InputOf<S>>[]>;
  /**
   * Puts letters back into their queue: with the same body, id and headers, without what the failure added to them, and at
   * attempt 1 again. Goes once over the letters that are there at the start; those that do not fit today's schema stay, and so do
   * those that the filter leaves out. Each is confirmed in its queue before it is removed here.
   *
   * However it ends, no letter is lost. When the process or the connection dies in the middle, up to 32 can be in both queues:
   * call it again for the rest. The connection that publishes is waited for, up to 30 s for a letter; when the one that reads
   * the letters is lost, the replay rejects. `broker.close()` ends it after the letters in hand.
   *
   * @throws RejectedError, UnroutableError, TopologyError, TimeoutError: a letter could not be put back; it stays
   * @throws ConnectionError the letters cannot be read any more; ClosedError the broker was closed
   * @throws ConfigurationError; what `filter` or `onProgress` throw; the reason of the `signal` when that aborts
   */
  replay(options?: ReplayOptions<InputOf<S>>): Promise<ReplayResult>;
  /**
   * Removes the letters that are there now, one by one. Resolves with their number. To empty a whole dead-letter queue at once,
   * whoever its letters come from: `broker.purge('<queue>.dead')`.
   *
   * @throws TopologyError NOT_FOUND when the dead-letter queue is missing and the contract does not declare it
   * @throws ConnectionError, TimeoutError, ClosedError: some may be removed
   */
  purge(): Promise<number>;
}

/** How many letters may wait here to be looked at. */
const PREFETCH = 100;

/** How many seconds of a paced replay's work may wait here. */
const PREFETCH_SECONDS = 10;

/** How often a list begins again after its connection was lost. */
const LIST_ATTEMPTS = 3;

/** The object behind {@link DeadLetters}, without its types. */
class QueueDeadLetters implements DeadLetters {
  readonly contract: QueueContract;
  readonly #office: DeadLetterOperations;

  constructor(contract: QueueContract, office: DeadLetterOperations) {
    this.contract = contract;
    this.#office = office;
  }

  async list(options: ListDeadLettersOptions = {}): Promise<DeadLetterEntry[]> {
    checkListOptions(options);
    const { limit = 100, signal } = options;
    return this.#run(signal, async (stop) => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#overAll(stop, PREFETCH, (pass) => this.#look(pass, limit));
        } catch (error) {
          if (!isLoss(error) || attempt === LIST_ATTEMPTS) throw error;
        }
      }
    });
  }

  async replay(options: ReplayOptions = {}): Promise<ReplayResult> {
    checkReplayOptions(options);
    const { ratePerSecond = Number.POSITIVE_INFINITY, signal } = options;
    const prefetch = Math.min(PREFETCH, Math.ceil(ratePerSecond * PREFETCH_SECONDS));
    return this.#run(signal, (stop) =>
      this.#office.publishing(this.contract, REPLAYS_IN_FLIGHT, (publisher) =>
        this.#overAll(stop, prefetch, (pass) => {
          const { clock, maxBodyBytes } = this.#office;
          const { contract } = this;
          return new Replay({
            contract,
            options,
            pass,
            publisher,
            clock,
            maxBodyBytes,
            onReplay: this.#office.onReplay,
            signal: stop,
          }).run();
        }),
      ),
    );
  }

  purge(): Promise<number> {
    return this.#run(undefined, (stop) =>
      this.#overAll(stop, PREFETCH, async (pass) => {
        let removed = 0;
        for (let letter = await pass.next(); letter; letter = await pass.next()) {
          if (isDeadLetterOf(this.contract, letter)) {
            pass.remove(letter);
            removed++;
          } else {
            pass.keep(letter);
          }
        }
        return removed;
      }),
    );
  }

  async #look(pass: QueueScan, limit: number): Promise<DeadLetterEntry[]> {
    const entries: DeadLetterEntry[] = [];
    while (entries.length < limit) {
      const letter = await pass.next();
      if (!letter) break;
      if (isDeadLetterOf(this.contract, letter)) entries.push(describeDeadLetter(this.contract, letter));
      pass.keep(letter);
    }
    return entries;
  }

  async #overAll<T>(
    signal: AbortSignal,
    prefetch: number,
    work: (pass: QueueScan) => Promise<T>,
  ): Promise<T> {
    const { connection, clock } = this.#office;
    const settings: QueueScanSettings = { contract: this.contract, connection, clock, signal, prefetch };
    const pass = await QueueScan.open(settings);
    try {
      return await work(pass);
    } finally {
      await pass.close();
    }
  }

  async #run<T>(signal: AbortSignal | undefined, work: (stop: AbortSignal) => Promise<T>): Promise<T> {
    try {
      return await this.#office.run(signal, work);
    } catch (error) {
      throw toPublicError(error, this.contract.deadLetter ?? '');
    }
  }
}

/** @throws ConfigurationError for what has no dead letters */
export function deadLettersOf<S extends Schema>(
  contract: QueueContract<S>,
  office: DeadLetterOperations,
): DeadLetters<S> {
  checkDeadLetters(contract);
  return new QueueDeadLetters(contract, office) as unknown as DeadLetters<S>;
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

/** The channel is gone, and nobody refused anything. */
function isLoss(error: unknown): boolean {
  return error instanceof TransportError && error.replyCode === undefined;
}
