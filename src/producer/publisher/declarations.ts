import type { Contract } from '../../contracts/topology.js';
import { type DelayNeeds, delaysOf } from '../../delay/declarer.js';
import { unitsOf } from '../../delay/levels.js';
import { delayed, targetOf } from '../../delay/routing-headers.js';
import { classOf } from '../../delay/topology.js';
import { TopologyError, UnroutableError } from '../../errors.js';
import type { Connection } from '../../transport/connection/connection.js';
import { declarerOf } from '../../transport/declarations/declarer.js';
import type { Link, OutgoingMessage } from '../../transport/port.js';
import { type Clock, sleep } from '../../util/clock.js';
import type { PendingSend } from './pending-send.js';

/** How long to wait after a declaration that failed on a connection which lives. */
const TRY_AGAIN_MS = 250;

/** How often a message is sent again that was refused, and how long nothing is sent before the first time; then twice as long. */
const MAX_REFUSALS = 6;
const FIRST_REST_MS = 25;

/** With these a queue can be full. */
const LIMITS = ['x-max-length', 'x-max-length-bytes'];

/** How often in a row the channel may be closed because the exchange is missing, before that is taken for the truth. */
const MAX_MISSING = 2;

export interface DeclarationsSettings {
  readonly connection: Connection;
  readonly clock: Clock;
  /** What has to be declared before the first publish; undefined: nothing. */
  readonly contract: Contract | undefined;
  /** Nothing is waited for any more once it aborts. */
  readonly signal: AbortSignal;
  /** What was begun by {@link Declarations.outgoing} has ended. */
  readonly onDone: () => void;
  /** Some sends can not succeed. */
  readonly onRefused: (error: Error, isMeant: (pending: PendingSend) => boolean) => void;
}

/** What an publisher declares on the server before it publishes, and again when it turns out to be missing. */
export class Declarations {
  readonly #settings: DeclarationsSettings;
  #isBusy = false;
  /** Something that was declared turned out to be missing. */
  #hasVanished = false;
  /** How often in a row the channel was closed because the exchange is missing. */
  #missing = 0;
  /** Nothing is published for a moment, since the server refused what it may take later. */
  #mustRest = false;
  /** How often in a row that was so. */
  #refusals = 0;

  constructor(settings: DeclarationsSettings) {
    this.#settings = settings;
  }

  /** From now on nothing that was declared is taken to exist. */
  vanished(): void {
    this.#hasVanished = true;
  }

  /** The server has answered for a message: there is something to publish to. Accepted, it took it or knew no queue for it. */
  wereThere(accepted: boolean): void {
    this.#missing = 0;
    if (accepted) this.#refusals = 0;
  }

  /** The exchange is missing. Declared again, it may be there next time. False when that was tried already. */
  mayComeBack(): boolean {
    this.vanished();
    if (++this.#missing < MAX_MISSING) return true;
    this.#missing = 0;
    return false;
  }

  /** Declares the contract. */
  async declare(link: Link): Promise<void> {
    const { contract } = this.#settings;
    const again = this.#hasVanished;
    if (again) declarerOf(link).forget();
    if (contract) await declarerOf(link).declare(contract, { again });
    this.#hasVanished = false;
  }

  /**
   * True when a message that no queue took, or that was refused, is to be sent again: after everything was declared again, or
   * after a rest. A queue that can not be full refuses a message only as long as it has no leader, such as in the moment after
   * its declaration (measured on 3.10 and 4.0).
   */
  mayHelp(pending: PendingSend, accepted: boolean): boolean {
    const { contract } = this.#settings;
    const isOwn = contract?.kind === 'queue' && contract.declare === true;
    if (accepted) {
      if (pending.redeclared || !(isOwn || pending.dueAt !== undefined)) return false;
      pending.redeclared = true;
      return true;
    }
    const mayBeFull = contract !== undefined && !(isOwn && LIMITS.every((it) => !(it in contract.arguments)));
    if (pending.dueAt === undefined && mayBeFull) return false;
    if (pending.refusals++ >= MAX_REFUSALS) return false;
    this.#mustRest = true;
    return true;
  }

  /** The message as it is published now. Undefined while something has to be declared first, which it begins. */
  outgoing(pending: PendingSend): OutgoingMessage | undefined {
    if (this.#isBusy) return undefined;
    const { clock, connection, signal } = this.#settings;
    if (this.#mustRest) {
      this.#mustRest = false;
      const restMs = FIRST_REST_MS * 2 ** Math.min(this.#refusals++, MAX_REFUSALS);
      void this.#run(
        () => sleep(clock, restMs, signal),
        () => false,
      );
      return undefined;
    }
    if (this.#hasVanished) {
      void this.#run(
        (link) => this.declare(link),
        () => true,
      );
      return undefined;
    }
    const needs = this.#needs(pending);
    if (!needs) return pending.message;
    const link = connection.current;
    if (link && delaysOf(link).isReady(needs, clock.now())) return delayed(pending.message, needs.units);
    const { kind, name } = needs.target;
    const isAlike = (other: PendingSend) => {
      const target = other.dueAt === undefined ? undefined : targetOf(other.message);
      return target?.kind === kind && target.name === name;
    };
    void this.#run((it) => this.#prepare(it, needs), isAlike);
    return undefined;
  }

  async #run(
    declare: (link: Link) => Promise<void>,
    isMeant: (pending: PendingSend) => boolean,
  ): Promise<void> {
    const { connection, clock, signal, onDone, onRefused } = this.#settings;
    this.#isBusy = true;
    let link: Link | undefined;
    try {
      link = await connection.link();
      await declare(link);
    } catch (error) {
      if (error instanceof TopologyError || error instanceof UnroutableError) onRefused(error, isMeant);
      // Of a lost connection the channel hears too.
      else if (link?.isOpen) await sleep(clock, TRY_AGAIN_MS, signal);
    }
    this.#isBusy = false;
    onDone();
  }

  /** Declares what a delayed message needs. Rejects with what it has to fail with, or with what may pass. */
  async #prepare(link: Link, needs: DelayNeeds): Promise<void> {
    const { contract, clock } = this.#settings;
    const prepare = () => delaysOf(link).prepare(needs, clock.now());
    try {
      await prepare();
    } catch (error) {
      if (!isMissing(error)) throw error;
      // Deleted since it was declared, or never declared by anybody.
      declarerOf(link).forget();
      if (contract?.declare === true) await declarerOf(link).declare(contract);
      await prepare().catch((again: unknown) => {
        throw isMissing(again) ? notFound(again, needs) : again;
      });
    }
  }

  /** What has to be there for a message to be delayed. Undefined when it needs no delay, or no more. */
  #needs({ message, dueAt }: PendingSend): DelayNeeds | undefined {
    const units = dueAt === undefined ? 0 : unitsOf(dueAt - this.#settings.clock.now());
    if (units === 0) return undefined;
    return { target: targetOf(message), units, priorities: classOf(message.properties.priority) };
  }
}

function isMissing(error: unknown): error is TopologyError {
  return error instanceof TopologyError && error.code === 'NOT_FOUND';
}

/** Without a delay, a queue that is not there is told in the same words. */
function notFound(error: TopologyError, { target: { kind, name } }: DelayNeeds): Error {
  if (kind === 'exchange') return error;
  const text = `No queue takes the message for the queue '${name}': it does not exist. Declare the queue first, or let the contract declare it`;
  return new UnroutableError(text, '', name);
}
