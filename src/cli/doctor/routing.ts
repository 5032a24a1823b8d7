import { TopicTrie } from '../../transport/memory/topic.js';
import type { Binding, Topology } from './server-state.js';

/**
 * The queues that a dead letter may reach. If that depends on the dead letter, on its own routing key or its headers, a queue
 * counts as reached.
 *
 * @param routingKey - undefined: the dead letter keeps its own
 * @returns undefined if it depends on the dead letter alone: the default exchange, and no known routing key
 */
export function queuesReached(
  topology: Topology,
  exchange: string,
  routingKey: string | undefined,
): readonly string[] | undefined {
  if (exchange === '') {
    if (routingKey === undefined) return undefined;
    return topology.queues.has(routingKey) ? [routingKey] : [];
  }
  const reached = new Set<string>();
  visit(topology, exchange, routingKey, reached, new Set());
  return [...reached];
}

function visit(
  topology: Topology,
  name: string,
  routingKey: string | undefined,
  reached: Set<string>,
  seen: Set<string>,
): boolean {
  const exchange = topology.exchanges.get(name);
  if (!exchange || seen.has(name)) return false;
  seen.add(name);
  let isRouted = false;
  for (const binding of topology.bindings) {
    if (binding.source !== name || !matches(exchange.type, binding, routingKey)) continue;
    if (binding.destinationType === 'exchange') {
      isRouted = visit(topology, binding.destination, routingKey, reached, seen) || isRouted;
    } else if (topology.queues.has(binding.destination)) {
      reached.add(binding.destination);
      isRouted = true;
    }
  }
  if (isRouted || exchange.alternate === undefined) return isRouted;
  return visit(topology, exchange.alternate, routingKey, reached, seen);
}

function matches(type: string, { routingKey: pattern }: Binding, routingKey: string | undefined): boolean {
  if (routingKey === undefined) return true;
  if (type === 'direct') return pattern === routingKey;
  if (type !== 'topic') return true;
  const trie = new TopicTrie<true>();
  trie.add(pattern, true);
  let isMatch = false;
  trie.match(routingKey, () => {
    isMatch = true;
  });
  return isMatch;
}
