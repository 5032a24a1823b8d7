import type { BindingDeclaration, ExchangeDeclaration, QueueDeclaration } from '../../transport/port.js';
import { declareLine, deleteLine, policyLine } from './lines.js';
import { policyThatApplies } from './policies.js';
import type { Policy, Queue, Topology } from './server-state.js';

/** Operations on a server, before they are written as shell lines. */
export interface Operations {
  /** Deleted first. */
  readonly deleted: Queue[];
  /** Then declared, by name. */
  readonly queues: Map<string, QueueDeclaration>;
  readonly exchanges: Map<string, ExchangeDeclaration>;
  readonly bindings: BindingDeclaration[];
  /** Set last, by queue. */
  readonly policies: Map<string, Policy>;
}

export function noOperations(): Operations {
  return { deleted: [], queues: new Map(), exchanges: new Map(), bindings: [], policies: new Map() };
}

export function linesOf(vhost: string, operations: Operations): readonly string[] {
  const { deleted, queues, exchanges, bindings, policies } = operations;
  const declare = declareLine(vhost, {
    queues: [...queues.values()],
    exchanges: [...exchanges.values()],
    bindings,
  });
  return [
    ...deleted.map((queue) => deleteLine(vhost, queue)),
    ...(declare === undefined ? [] : [declare]),
    ...[...policies.values()].map((policy) => policyLine(vhost, policy)),
  ];
}

/** The state of the server after the operations. */
export function after(topology: Topology, operations: Operations): Topology {
  const queues = new Map(topology.queues);
  for (const { name } of operations.deleted) queues.delete(name);
  for (const declared of operations.queues.values()) {
    if (!queues.has(declared.name)) queues.set(declared.name, declaredQueue(declared, topology));
  }
  for (const [name, policy] of operations.policies) {
    const queue = queues.get(name);
    if (queue)
      queues.set(name, { ...queue, policy, applied: { ...operatorsPart(queue), ...policy.definition } });
  }
  const exchanges = new Map(topology.exchanges);
  for (const exchange of operations.exchanges.values()) {
    exchanges.set(exchange.name, { ...exchange, alternate: undefined });
  }
  const isDeleted = (name: string) => operations.deleted.some((queue) => queue.name === name);
  const kept = topology.bindings.filter(
    (it) => it.destinationType === 'exchange' || !isDeleted(it.destination),
  );
  const bound = operations.bindings.map(({ destination, source, routingKey, arguments: args }) => ({
    source,
    destination: destination.name,
    destinationType: destination.kind,
    routingKey,
    arguments: args,
  }));
  return { queues, exchanges, bindings: [...kept, ...bound], policies: topology.policies };
}

function declaredQueue(declared: QueueDeclaration, { policies }: Topology): Queue {
  const type = String(declared.arguments['x-queue-type'] ?? 'classic');
  const policy = policyThatApplies(policies, declared.name, type);
  return { ...declared, type, policy, applied: policy?.definition ?? {} };
}

/** The part of an operator policy beside the queue's own one. */
function operatorsPart({ applied, policy }: Queue): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(applied).filter(([key, value]) => policy?.definition[key] !== value),
  );
}
