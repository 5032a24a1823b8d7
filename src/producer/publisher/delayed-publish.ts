import { declarerOf } from '../../declarations/declarer.js';
import { type DelayNeeds, delayDeclarerOf } from '../../delay/delay-declarer.js';
import { unitsOf } from '../../delay/levels.js';
import { delayed, targetOf } from '../../delay/routing-headers.js';
import { classOf } from '../../delay/topology.js';
import { TopologyError, UnroutableError } from '../../errors.js';
import { serverWords } from '../../transport/failures.js';
import type { Link, OutgoingMessage } from '../../transport/port.js';
import type { Clock } from '../../util/clock.js';
import type { DeclareOnDemand } from './declare-on-demand.js';
import type { PendingSend } from './pending-send.js';

/** Delays messages: what they need on the server, and how they are published. */
export class DelayedPublish {
  readonly #clock: Clock;
  readonly #demand: DeclareOnDemand;

  constructor(clock: Clock, demand: DeclareOnDemand) {
    this.#clock = clock;
    this.#demand = demand;
  }

  /** The needs of the message's delay on the server. Undefined when it has no delay, or is due already. */
  needsOf({ message, dueAt }: PendingSend): DelayNeeds | undefined {
    const units = dueAt === undefined ? 0 : unitsOf(dueAt - this.#clock.now());
    if (units === 0) return undefined;
    return { target: targetOf(message), units, priorities: classOf(message.properties.priority) };
  }

  /** True when nothing is left to declare on this link. Renews declarations that will soon be too old. */
  isReady(link: Link, needs: DelayNeeds): boolean {
    const now = this.#clock.now();
    const declarer = delayDeclarerOf(link);
    if (!declarer.isReady(needs, now)) return false;
    void declarer.renew(needs.target, now);
    return true;
  }

  /** Declares what is missing. Rejects with the error that the message fails with, or with an error that may not come again. */
  async declare(link: Link, needs: DelayNeeds): Promise<void> {
    const prepare = () => delayDeclarerOf(link).prepare(needs, this.#clock.now());
    try {
      await prepare();
    } catch (error) {
      if (!isMissing(error)) throw error;
      // Deleted since it was declared, or never declared at all: the target, or else what all delays need.
      const isTarget = missingNameOf(error) === needs.target.name;
      if (!isTarget) declarerOf(link).forget();
      const { contract } = this.#demand;
      if (contract?.declare === true) await declarerOf(link).declare(contract, { again: true });
      await prepare().catch((again: unknown) => {
        throw isMissing(again) ? notFound(again, needs) : again;
      });
    }
  }

  /** The message in the form in which it is published. */
  wrap({ message, delay }: PendingSend): OutgoingMessage {
    return delay ? delayed(message, delay.units) : message;
  }
}

/** True for a message that is delayed on its way to the same target. */
export function hasDelayTo(needs: DelayNeeds, { message, dueAt }: PendingSend): boolean {
  if (dueAt === undefined) return false;
  const { kind, name } = targetOf(message);
  return kind === needs.target.kind && name === needs.target.name;
}

/** The name that the server reports as missing. */
function missingNameOf({ cause }: TopologyError): string | undefined {
  return cause instanceof Error ? /'([^']*)'/.exec(serverWords(cause))?.[1] : undefined;
}

function isMissing(error: unknown): error is TopologyError {
  return error instanceof TopologyError && error.code === 'NOT_FOUND';
}

/** The same words as for a missing queue without a delay. */
function notFound(error: TopologyError, { target: { kind, name } }: DelayNeeds): Error {
  if (kind === 'exchange') return error;
  const text = `The message for the queue '${name}' is unroutable: the queue does not exist. Declare the queue first, or let the contract declare it`;
  return new UnroutableError(text, '', name);
}
