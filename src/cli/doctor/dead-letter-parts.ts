import { NEVER_REACHED } from '../../contracts/topology.js';
import type { BindingDeclaration, QueueDeclaration } from '../../transport/port.js';
import type { Parts } from './check.js';
import { lossesOf } from './losses.js';
import type { Queue, Topology } from './server-state.js';
import { deadLetterTargetOf } from './settings.js';

/** The declarations that are needed to keep dead letters. */

/**
 * Where the dead letters of a queue can go: the queue that Leveret would declare, unless a queue of this name keeps nothing.
 */
export function deadLetterQueueFor(topology: Topology, version: string, queue: string): string {
  for (let n = 1; ; n++) {
    const name = `${queue}.dead${n === 1 ? '' : `.${n}`}`;
    const there = topology.queues.get(name);
    if (!there || (there.durable && !there.exclusive && lossesOf(there, version).length === 0)) return name;
  }
}

/** The dead-letter queue as Leveret declares it; empty if it exists already. */
export function deadLetterQueueParts(topology: Topology, name: string): readonly QueueDeclaration[] {
  if (topology.queues.has(name)) return [];
  const args = { 'x-queue-type': 'quorum', 'x-delivery-limit': NEVER_REACHED };
  return [{ name, durable: true, exclusive: false, autoDelete: false, arguments: args }];
}

/** What is missing if a queue's dead letters go nowhere. */
export function missingTargetParts(
  topology: Topology,
  version: string,
  queue: Queue,
  { exchange, routingKey }: { readonly exchange: string; readonly routingKey: string | undefined },
): Parts {
  if (exchange === '') return { queues: deadLetterQueueParts(topology, routingKey ?? '') };
  const there = topology.exchanges.get(exchange);
  const isByKey = there?.type === 'direct' || (there?.type === 'topic' && routingKey !== undefined);
  // Every queue that shares the exchange sends its dead letters there, so one queue should keep them.
  const owner = isByKey ? queue.name : firstThatUses(topology, exchange, queue.name);
  const name = deadLetterQueueFor(topology, version, owner);
  const keys = isByKey ? keysOf(topology, queue, routingKey) : [there?.type === 'topic' ? '#' : ''];
  return {
    queues: deadLetterQueueParts(topology, name),
    exchanges: there
      ? []
      : [
          {
            name: exchange,
            type: 'fanout',
            durable: true,
            autoDelete: false,
            internal: false,
            arguments: {},
          },
        ],
    bindings: keys.map(
      (key): BindingDeclaration => ({
        destination: { kind: 'queue', name },
        source: exchange,
        routingKey: key,
        arguments: {},
      }),
    ),
  };
}

function firstThatUses(topology: Topology, exchange: string, fallback: string): string {
  const [first = fallback] = [...topology.queues.values()]
    .filter((queue) => deadLetterTargetOf(queue)?.exchange === exchange)
    .map(({ name }) => name)
    .sort();
  return first;
}

/** The routing keys of a queue's dead letters: those of its messages, if it has none of its own. */
function keysOf({ bindings }: Topology, { name }: Queue, routingKey: string | undefined): readonly string[] {
  if (routingKey !== undefined) return [routingKey];
  const own = bindings.filter((it) => it.destinationType === 'queue' && it.destination === name);
  return [...new Set([name, ...own.map((it) => it.routingKey)])];
}
