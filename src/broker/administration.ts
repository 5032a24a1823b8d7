import { isDelays, isExchange, isProcedure, isQueue } from '../contracts/guards.js';
import { consumedTopologyOf, referencesOf, topologyOf } from '../contracts/topology.js';
import type { Contract, DelaysContract, ProcedureContract, QueueContract } from '../contracts/types.js';
import { type Declarer, declarerOf } from '../declarations/declarer.js';
import { declareDelays } from '../delay/delay-declarer.js';
import type { Landings } from '../delay/landings.js';
import { heldOf, isDelayName, landingOf } from '../delay/topology.js';
import { ClosedError, ConfigurationError, TimeoutError, TopologyError } from '../errors.js';
import { classify } from '../transport/failures.js';
import { toPublicError } from '../transport/public-errors.js';
import { expectName, show } from '../util/checks.js';
import { type Clock, withDeadline } from '../util/clock.js';
import type { Connections } from './connections.js';

/** The time limit of one operation, reconnects included. */
const TIMEOUT_MS = 30_000;

/** How many contracts are declared side by side. */
const SIDE_BY_SIDE = 16;

/** Declares, counts, purges and deletes for a broker. All operations are idempotent. */
export class Administration {
  readonly #connections: Connections;
  readonly #clock: Clock;
  readonly #landings: Landings;
  #isClosed = false;

  constructor(connections: Connections, clock: Clock, landings: Landings) {
    this.#connections = connections;
    this.#clock = clock;
    this.#landings = landings;
  }

  /** Accepts no new operation. Running ones continue as long as the connections do. */
  close(): void {
    this.#isClosed = true;
  }

  /** Declares side by side, each contract after those before it that it names. */
  async declare(given: readonly (Contract | ProcedureContract | DelaysContract)[]): Promise<void> {
    const contracts = given
      .flatMap((it): readonly (Contract | ProcedureContract)[] => (isDelays(it) ? it.contracts : [it]))
      .map((it) => (isProcedure(it) ? it.queue : it));
    for (const contract of contracts) checkContract('declare', contract);
    const byName = new Map<string, Promise<void>>();
    const all: Promise<void>[] = [];
    const rest = contracts.values();
    let hasFailed = false;
    const work = async () => {
      for (const contract of rest) {
        const before = [...referencesOf(contract)].map((name) => byName.get(name));
        const declaring = Promise.all(before).then(() => this.#declare(contract));
        byName.set(contract.name, declaring);
        all.push(declaring);
        await declaring.catch(() => (hasFailed = true));
        if (hasFailed) return;
      }
    };
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, work));
    // Of several failures, the first in the order of the contracts.
    for (const declaring of all) await declaring;
    for (const contract of given.filter(isDelays))
      await this.#perform('the delays', (declarer) => declareDelays(declarer.link, contract, this.#clock));
  }

  async stats(
    queue: QueueContract | ProcedureContract | string,
  ): Promise<{ readonly messages: number; readonly consumers: number }> {
    const name = nameOf('stats', queue);
    return this.#perform(queueOf(queue), (declarer) => declarer.run((channel) => channel.checkQueue(name)));
  }

  async purge(queue: QueueContract | ProcedureContract | string): Promise<number> {
    const name = nameOf('purge', queue);
    if (isQueue(queue) && queue.type === 'stream') {
      throw new ConfigurationError(
        'type',
        `broker.purge: '${name}' is a stream; RabbitMQ only trims streams by age or size. Delete the stream instead`,
      );
    }
    return this.#perform(queueOf(queue), (declarer) => declarer.run((channel) => channel.purgeQueue(name)));
  }

  async delete(given: Contract | ProcedureContract): Promise<void> {
    const contract = isProcedure(given) ? given.queue : given;
    checkContract('delete', contract);
    const { kind, name } = contract;
    if (kind === 'queue') this.#landings.forget(name);
    await this.#perform(contract, async (declarer) => {
      await declarer.run((channel) =>
        kind === 'queue' ? channel.deleteQueue(name) : channel.deleteExchange(name),
      );
      await deleteLandings(declarer, contract);
    });
    for (const link of this.#connections.links()) declarerOf(link).forget();
  }

  async #declare(contract: Contract): Promise<void> {
    const isAdopted = contract.kind === 'queue' && contract.declare !== true;
    const steps = isAdopted ? consumedTopologyOf(contract) : topologyOf(contract);
    await this.#perform(contract, (declarer) => declarer.declareAll(steps, { again: true }));
  }

  /** Performs an operation on an open connection, and once more on the next one if the connection is lost meanwhile. */
  async #perform<T>(subject: Contract | string, action: (declarer: Declarer) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new ClosedError('The broker is closed');
    const target = typeof subject === 'string' ? subject : subject.name;
    const connections = this.#connections;
    // An exclusive queue belongs to the connection that declares it. That must be the consuming connection, or the queue
    // cannot be consumed from.
    const belongsToConsumer = isQueue(subject) && subject.exclusive;
    const timeoutError = () =>
      new TimeoutError(`'${target}': the server did not answer within ${TIMEOUT_MS} ms`);
    let isOver = false;
    let isExhausted = false;
    const attempt = async (): Promise<T> => {
      while (true) {
        const usual = belongsToConsumer ? connections.consume : connections.forAdministration();
        const connection = isExhausted ? connections.publish : usual;
        const link = await connection.link();
        // The caller was told that the operation failed, and does not expect a purge or a delete to happen after all.
        if (isOver) throw timeoutError();
        try {
          return await action(declarerOf(link));
        } catch (error) {
          // Consumers may use up all channels of their connection; producers leave some free.
          const mayBorrow =
            classify(error) === 'no-channel' && !belongsToConsumer && connection !== connections.publish;
          if (mayBorrow) isExhausted = true;
          else if (link.isOpen || isOver || isRefusal(error)) throw error;
        }
      }
    };
    try {
      return await withDeadline(this.#clock, attempt(), TIMEOUT_MS, timeoutError);
    } catch (error) {
      throw toPublicError(error, target);
    } finally {
      isOver = true;
    }
  }
}

/** Deletes the landing and holding queues of a deleted queue or exchange. */
async function deleteLandings(declarer: Declarer, contract: Contract): Promise<void> {
  const { kind, name } = contract;
  if (isDelayName(name) || (contract.kind === 'queue' && contract.exclusive)) return;
  const places = kind === 'queue' ? [landingOf(contract), heldOf(contract)] : [landingOf(contract)];
  try {
    // Deleting what is not there is no error.
    for (const place of places) await declarer.run((channel) => channel.deleteQueue(place));
  } catch (error) {
    // This user lacks the permission. The leftovers are empty, and only messages still in a delay can reach them.
    if (classify(error) !== 'access') throw error;
  }
}

/** @throws ConfigurationError for anything that was not created by `queue()` or `exchange()` */
export function checkContract(what: string, value: unknown): asserts value is Contract {
  if (isQueue(value) || isExchange(value)) return;
  const expected = 'a contract made by queue() or exchange()';
  throw new ConfigurationError('contract', `broker.${what}: expected ${expected}, got ${show(value)}`);
}

function queueOf(queue: QueueContract | ProcedureContract | string): QueueContract | string {
  return isProcedure(queue) ? queue.queue : queue;
}

function nameOf(what: string, queue: unknown): string {
  if (isQueue(queue) || isProcedure(queue)) return queue.name;
  const problem = expectName(queue);
  if (problem === undefined) return queue as string;
  const expected = `a contract made by queue(), or a queue's name: ${problem}`;
  throw new ConfigurationError('queue', `broker.${what}: expected ${expected}, got ${show(queue)}`);
}

/** What the server refuses by closing the whole connection, it refuses on the next one too. */
function isRefusal(error: unknown): boolean {
  return error instanceof TopologyError || classify(error) === 'unsupported';
}
