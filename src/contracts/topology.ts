import type { BindingDeclaration, ExchangeDeclaration, QueueDeclaration } from '../transport/port.js';
import type { ExchangeContract } from './exchange.js';
import type { QueueContract } from './queue.js';

/** Anything that a broker declares. */
export type Contract = QueueContract | ExchangeContract;

/** One thing to ask of the server, in an order in which each finds what it needs. */
export type TopologyStep =
  | {
      readonly kind: 'queue';
      readonly queue: QueueDeclaration;
      /** A dead-letter queue: taken as it is when it exists with other arguments, or when this user may not declare it. */
      readonly lenient?: boolean;
    }
  | { readonly kind: 'exchange'; readonly exchange: ExchangeDeclaration }
  | { readonly kind: 'binding'; readonly binding: BindingDeclaration }
  | {
      readonly kind: 'check-queue';
      readonly name: string;
      /** The queue whose dead letters it takes. */
      readonly deadLetterOf?: string;
    }
  | { readonly kind: 'check-exchange'; readonly name: string };

/** A delivery limit that is as good as none. −1, no limit, is only understood from 4.0. */
export const NEVER_REACHED = 1_000_000;

/** What to declare so that the contract can be used. */
export function topologyOf(contract: Contract): TopologyStep[] {
  return contract.kind === 'queue' ? queueSteps(contract) : exchangeSteps(contract);
}

/** What to declare so that the contract's messages can be consumed: those that fail for good need a place, too. */
export function consumedTopologyOf(contract: QueueContract): TopologyStep[] {
  const isDeclared = contract.declare === true && !mayDeadLettersWait(contract);
  return isDeclared ? topologyOf(contract) : [...topologyOf(contract), ...deadLetterTopologyOf(contract)];
}

/** The exchanges that a contract gets messages of: those that it is bound to, and where these get theirs, as far as is known. */
export function sourcesOf({ bindings }: Contract, found: Set<string> = new Set()): ReadonlySet<string> {
  for (const { exchange } of bindings) {
    const name = typeof exchange === 'string' ? exchange : exchange.name;
    if (found.has(name)) continue;
    found.add(name);
    if (typeof exchange !== 'string') sourcesOf(exchange, found);
  }
  return found;
}

/** What to declare so that the contract's dead letters have a place. */
export function deadLetterTopologyOf(contract: QueueContract): TopologyStep[] {
  const { name, declare, deadLetter, deadLetterContract } = contract;
  if (deadLetter === undefined) return [];
  if (deadLetterContract) return topologyOf(deadLetterContract);
  // `<queue>.dead` belongs to the dead letters, whoever owns the queue. Any other name may be the work queue of another program.
  if (declare !== true && !hasOwnDeadLetterQueue(contract))
    return [{ kind: 'check-queue', name: deadLetter, deadLetterOf: name }];
  return [{ kind: 'queue', queue: deadLetterQueue(deadLetter), lenient: true }];
}

/** True when the dead letters have a queue of their own, which is named after the queue that they come from. */
export function hasOwnDeadLetterQueue({ name, deadLetter }: QueueContract): boolean {
  return deadLetter === deadLetterNameOf(name);
}

/** The name of the dead-letter queue, unless the contract says another one. */
export function deadLetterNameOf(queue: string): string {
  return `${queue}.dead`;
}

/**
 * True when the dead-letter queue is not declared together with its queue. One that is given by name may have an owner that has
 * not started yet, whose own declaration would then be refused. A consumer declares it; until then the server keeps its own dead
 * letters, if it dead-letters at least once.
 */
function mayDeadLettersWait(contract: QueueContract): boolean {
  const { type, deadLetterContract, arguments: args } = contract;
  if (deadLetterContract || hasOwnDeadLetterQueue(contract)) return false;
  return type === 'stream' || args['x-dead-letter-strategy'] === 'at-least-once';
}

function queueSteps(contract: QueueContract): TopologyStep[] {
  const { name } = contract;
  if (contract.declare === false) return [];
  if (contract.declare === 'passive') return [{ kind: 'check-queue', name }];
  // First, so that the queue never has a dead-letter target that is not there.
  const steps = mayDeadLettersWait(contract) ? [] : deadLetterTopologyOf(contract);
  steps.push(...sourceSteps(contract));
  steps.push({
    kind: 'queue',
    queue: {
      name,
      durable: contract.durable,
      exclusive: contract.exclusive,
      autoDelete: contract.autoDelete,
      arguments: contract.arguments,
    },
  });
  steps.push(...bindingSteps(contract));
  return steps;
}

/** The exchanges that something is bound to. */
function sourceSteps({ bindings }: Contract): TopologyStep[] {
  return bindings.flatMap(({ exchange }) => (typeof exchange === 'string' ? [] : exchangeSteps(exchange)));
}

function bindingSteps({ kind, name, bindings }: Contract): TopologyStep[] {
  return bindings.map(({ exchange, routingKey = '', arguments: args = {} }) => ({
    kind: 'binding',
    binding: {
      destination: { kind, name },
      source: typeof exchange === 'string' ? exchange : exchange.name,
      routingKey,
      arguments: args,
    },
  }));
}

function exchangeSteps(contract: ExchangeContract): TopologyStep[] {
  const { name, alternateExchange } = contract;
  if (contract.declare === false) return [];
  if (contract.declare === 'passive') return [{ kind: 'check-exchange', name }];
  const alternate = typeof alternateExchange === 'string' ? alternateExchange : alternateExchange?.name;
  return [
    ...(typeof alternateExchange === 'object' ? exchangeSteps(alternateExchange) : []),
    ...sourceSteps(contract),
    {
      kind: 'exchange',
      exchange: {
        name,
        type: contract.type,
        durable: contract.durable,
        autoDelete: contract.autoDelete,
        internal: contract.internal,
        arguments: {
          ...contract.arguments,
          ...(alternate === undefined ? {} : { 'alternate-exchange': alternate }),
        },
      },
    },
    ...bindingSteps(contract),
  ];
}

/** Kept on several servers, never expiring, never full: the last place of a message. */
function deadLetterQueue(name: string): QueueDeclaration {
  return {
    name,
    durable: true,
    exclusive: false,
    autoDelete: false,
    // Looking at dead letters gives them back, which counts before 4.3: the server would drop them in the end.
    arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': NEVER_REACHED },
  };
}
