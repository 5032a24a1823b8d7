import type { DelayNeeds } from '../../delay/delay-declarer.js';
import { targetOf } from '../../delay/routing-headers.js';
import { targetKey } from '../../delay/topology.js';
import { TopologyError, UnroutableError } from '../../errors.js';
import type { Connection } from '../../transport/connection/connection.js';
import type { Link } from '../../transport/port.js';
import { type Clock, sleep } from '../../util/clock.js';
import type { DeclareOnDemand } from './declare-on-demand.js';
import { type DelayedPublish, hasDelayTo } from './delayed-publish.js';
import type { PendingSend } from './pending-send.js';

/** The pause after a failed declaration on a connection that is still open. */
const TRY_AGAIN_MS = 250;

export interface PublishPreparationSettings {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly demand: DeclareOnDemand;
  readonly delays: DelayedPublish;
  /** Stops all waiting when it aborts. */
  readonly signal: AbortSignal;
  /** The matching sends cannot succeed. */
  readonly onRefused: (error: Error, matches: (pending: PendingSend) => boolean) => void;
  /** The declaration that the sends waited for has ended, successfully or not. */
  readonly onOver: (waitedFor: Preparing | undefined) => void;
}

/** A declaration in progress: each is an object of its own. */
export type Preparing = DelayNeeds;

/**
 * Declares what a message needs on the server before the message is published. While the delays of a target are being declared, only
 * messages for that target wait, delayed or not, so that they keep their order.
 */
export class PublishPreparation {
  readonly #settings: PublishPreparationSettings;
  /** The contract is being declared again. */
  #isBusy = false;
  readonly #preparing = new Map<string, Preparing>();

  constructor(settings: PublishPreparationSettings) {
    this.#settings = settings;
  }

  /** True while the contract is being declared again: nothing is published meanwhile. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Begins to declare what is missing for the message. */
  prepare(pending: PendingSend): 'ready' | 'busy' | Preparing {
    const { connection, demand, delays } = this.#settings;
    if (demand.isStale) {
      this.#isBusy = true;
      void this.#declareAgain();
      return 'busy';
    }
    const before = this.#preparing.size > 0 && this.#preparing.get(keyOf(pending));
    if (before) return before;
    const needs = delays.needsOf(pending);
    pending.delay = needs;
    const link = connection.current;
    if (!needs || (link && delays.isReady(link, needs))) return 'ready';
    this.#preparing.set(keyOf(pending), needs);
    void this.#prepare(keyOf(pending), needs);
    return needs;
  }

  async #declareAgain(): Promise<void> {
    await this.#run(
      (link) => this.#settings.demand.declare(link),
      () => true,
    );
    this.#isBusy = false;
    this.#settings.onOver(undefined);
  }

  async #prepare(key: string, needs: DelayNeeds): Promise<void> {
    await this.#run(
      (link) => this.#settings.delays.declare(link, needs),
      (other) => hasDelayTo(needs, other),
    );
    this.#preparing.delete(key);
    this.#settings.onOver(needs);
  }

  async #run(
    declare: (link: Link) => Promise<void>,
    matches: (pending: PendingSend) => boolean,
  ): Promise<void> {
    const { connection, clock, signal, onRefused } = this.#settings;
    let link: Link | undefined;
    try {
      link = await connection.link();
      await declare(link);
    } catch (error) {
      if (error instanceof TopologyError || error instanceof UnroutableError) onRefused(error, matches);
      // A lost connection needs no pause: the next attempt waits for a new one.
      else if (link?.isOpen) await sleep(clock, TRY_AGAIN_MS, signal);
    }
  }
}

function keyOf({ message }: PendingSend): string {
  return targetKey(targetOf(message));
}
