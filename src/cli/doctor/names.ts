import { isExchange, isProcedure, isSubscription } from '../../contracts/guards.js';
import type { ExchangeContract, QueueContract } from '../../contracts/types.js';
import { LEVELS } from '../../delay/levels.js';
import { commonSteps, delayQueueSteps } from '../../delay/topology.js';
import type { AnyContract } from '../contracts.js';
import { escaped } from './shell.js';

/** A permission that a user needs, by names. */
export interface Need {
  /** The names, or examples of them if there are many. */
  readonly names: readonly string[];
  /** A regular expression for them, without anchors. */
  readonly pattern: string;
  readonly configure: boolean;
  readonly write: boolean;
  readonly read: boolean;
}

/** What Leveret itself needs in a virtual host: its delays, and sending to queues. */
export function ownNeeds(): readonly Need[] {
  const steps = [
    ...commonSteps(LEVELS.length),
    ...LEVELS.flatMap(({ queues }, at) =>
      queues.flatMap((queue) => [
        ...delayQueueSteps(at, queue, 'low'),
        ...delayQueueSteps(at, queue, 'high'),
      ]),
    ),
  ];
  const names = steps.flatMap((step) => {
    if (step.kind === 'queue') return [step.queue.name];
    return step.kind === 'exchange' ? [step.exchange.name] : [];
  });
  return [
    { names: [...new Set(names)], pattern: 'leveret\\.delay\\..*', configure: true, write: true, read: true },
    // The server's name for the default exchange in permissions.
    { names: ['amq.default'], pattern: 'amq\\.default', configure: false, write: true, read: false },
  ];
}

/** The names in the contracts. */
export function contractNeeds(contracts: readonly AnyContract[]): readonly Need[] {
  return contracts.flatMap((contract) => {
    if (isExchange(contract)) return exchangeNeeds(contract);
    if (isProcedure(contract)) return queueNeeds(contract.queue);
    if (!isSubscription(contract)) return queueNeeds(contract);
    const queue = contract.toQueue();
    const [, ...others] = queueNeeds(queue);
    const pattern = `${escaped(queue.name.slice(0, -RANDOM_LENGTH))}[0-9a-f-]{${RANDOM_LENGTH}}`;
    return [{ names: [queue.name], pattern, configure: true, write: true, read: true }, ...others];
  });
}

/** A UUID, at the end of the name of a private queue. */
const RANDOM_LENGTH = 36;

function queueNeeds({ name, declare, deadLetter, bindings }: QueueContract): Need[] {
  return [
    need(name, declare === true),
    ...(deadLetter === undefined ? [] : [need(deadLetter, declare === true)]),
    ...sourceNeeds(bindings),
  ];
}

function exchangeNeeds({ name, declare, alternateExchange, bindings }: ExchangeContract): Need[] {
  const alternate =
    typeof alternateExchange === 'object' ? exchangeNeeds(alternateExchange) : namedNeeds(alternateExchange);
  return [need(name, declare === true), ...alternate, ...sourceNeeds(bindings)];
}

function sourceNeeds(bindings: QueueContract['bindings']): Need[] {
  return bindings.flatMap(({ exchange }) =>
    typeof exchange === 'object' ? exchangeNeeds(exchange) : namedNeeds(exchange),
  );
}

/** An exchange of which only the name is known, because something is bound to it. */
function namedNeeds(name: string | undefined): Need[] {
  return name === undefined || name === '' ? [] : [need(name, false)];
}

function need(name: string, configure: boolean): Need {
  return {
    names: [name],
    pattern: escaped(name),
    configure: configure && !name.startsWith('amq.'),
    write: true,
    read: true,
  };
}
