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
}

/** Makes sure that what a message needs on the server exists when the message is published. One declaration at a time. */
export class PublishPreparation {
  readonly #settings: PublishPreparationSettings;
  #isBusy = false;

  constructor(settings: PublishPreparationSettings) {
    this.#settings = settings;
  }

  /** True while a declaration is running: nothing is published meanwhile. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Declares what is missing for the message. The promise resolves when that is done, and never rejects. */
  prepare(pending: PendingSend): 'ready' | Promise<void> {
    const { connection, demand, delays } = this.#settings;
    if (demand.isStale)
      return this.#run(
        (link) => demand.declare(link),
        () => true,
      );
    const needs = delays.needsOf(pending);
    pending.delay = needs;
    const link = connection.current;
    if (!needs || (link && delays.isReady(link, needs))) return 'ready';
    return this.#run(
      (it) => delays.declare(it, needs),
      (other) => hasDelayTo(needs, other),
    );
  }

  async #run(
    declare: (link: Link) => Promise<void>,
    matches: (pending: PendingSend) => boolean,
  ): Promise<void> {
    const { connection, clock, signal, onRefused } = this.#settings;
    this.#isBusy = true;
    let link: Link | undefined;
    try {
      link = await connection.link();
      await declare(link);
    } catch (error) {
      if (error instanceof TopologyError || error instanceof UnroutableError) onRefused(error, matches);
      // The channel reports a lost connection, too.
      else if (link?.isOpen) await sleep(clock, TRY_AGAIN_MS, signal);
    }
    this.#isBusy = false;
  }
}
