import type { BindingDeclaration, ExchangeDeclaration, QueueDeclaration } from '../transport/port.js';
import type { Contract, ExchangeContract, QueueContract } from './types.js';

/** One operation on the server. In a list of steps, each finds what it needs. */
export type TopologyStep =
  | {
      readonly kind: 'queue';
      readonly queue: QueueDeclaration;
      /** A dead-letter queue that is used as it is if it exists with other arguments, or if this user may not declare it. */
      readonly lenient?: boolean;
    }
  | { readonly kind: 'exchange'; readonly exchange: ExchangeDeclaration }
  | { readonly kind: 'binding'; readonly binding: BindingDeclaration }
  | {
      readonly kind: 'check-queue';
      readonly name: string;
      /** The queue whose dead letters it receives. */
      readonly deadLetterOf?: string;
    }
  | { readonly kind: 'check-exchange'; readonly name: string };

/** Effectively no delivery limit. RabbitMQ understands −1, no limit, only since 4.0. */
export const NEVER_REACHED = 1_000_000;

/** The steps that make the contract usable. */
export function topologyOf(contract: Contract): TopologyStep[] {
  return contract.kind === 'queue' ? queueSteps(contract) : exchangeSteps(contract);
}

/** The steps that make the contract's messages consumable, including a place for those that fail permanently. */
export function consumedTopologyOf(contract: QueueContract): TopologyStep[] {
  const isDeclared = contract.declare === true && !mayDeadLettersWait(contract);
  return isDeclared ? topologyOf(contract) : [...topologyOf(contract), ...deadLetterTopologyOf(contract)];
}

/** The exchanges that feed a contract: those that it is bound to, and those that feed them, as far as contracts tell. */
export function sourcesOf({ bindings }: Contract, found: Set<string> = new Set()): ReadonlySet<string> {
  for (const { exchange } of bindings) {
    const name = typeof exchange === 'string' ? exchange : exchange.name;
    if (found.has(name)) continue;
    found.add(name);
    if (typeof exchange !== 'string') sourcesOf(exchange, found);
  }
  return found;
}

/** The names of what has to exist before the contract is declared, itself included: two contracts of one name take turns. */
export function referencesOf(contract: Contract): ReadonlySet<string> {
  const names = new Set([contract.name, ...sourcesOf(contract)]);
  if (contract.kind === 'queue' && contract.deadLetter !== undefined) names.add(contract.deadLetter);
  return names;
}

/** The steps that give the contract's dead letters a place. */
export function deadLetterTopologyOf(contract: QueueContract): TopologyStep[] {
  const { name, declare, deadLetter, deadLetterContract } = contract;
  if (deadLetter === undefined) return [];
  if (deadLetterContract) return topologyOf(deadLetterContract);
  // `<queue>.dead` is reserved for dead letters, whatever program owns the queue. Any other name may be the work queue of
  // another program.
  if (declare !== true && !hasOwnDeadLetterQueue(contract))
    return [{ kind: 'check-queue', name: deadLetter, deadLetterOf: name }];
  return [{ kind: 'queue', queue: deadLetterQueue(deadLetter), lenient: true }];
}

/** True when the dead letters have a queue of their own, named after the queue that they come from. */
export function hasOwnDeadLetterQueue({ name, deadLetter }: QueueContract): boolean {
  return deadLetter === deadLetterNameOf(name);
}

/** The name of the dead-letter queue, unless the contract names another one. */
export function deadLetterNameOf(queue: string): string {
  return `${queue}.dead`;
}

/**
 * True when the dead-letter queue is not declared together with its queue. A dead-letter queue that is given by name may have
 * an owner that has not started yet, whose own declaration would then be refused. A consumer declares it; until then the
 * server keeps its own dead letters, if it dead-letters at least once.
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
  // The dead-letter queue comes first, so that the queue never has a dead-letter target that does not exist.
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

/** The steps that declare the exchanges that a contract is bound to. */
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

/** Replicated, never expiring, never full: the last place of a message. */
function deadLetterQueue(name: string): QueueDeclaration {
  return {
    name,
    durable: true,
    exclusive: false,
    autoDelete: false,
    // Listing dead letters requeues them, which counts towards the limit before 4.3: the server would finally drop them.
    arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': NEVER_REACHED },
  };
}
