import type { Policy } from './server-state.js';

/**
 * Settings that a type of queue does not support. A policy with one of them does not apply to such a queue at all, and the
 * next one does (`unsupported_policies` in RabbitMQ's source).
 */
const UNKNOWN_TO: Readonly<Record<string, ReadonlySet<string>>> = {
  quorum: new Set([
    ...['max-priority', 'queue-mode', 'queue-master-locator', 'max-age', 'initial-cluster-size'],
    ...['ha-mode', 'ha-params', 'ha-sync-mode', 'ha-promote-on-shutdown', 'ha-promote-on-failure'],
    'stream-max-segment-size-bytes',
  ]),
  classic: new Set([
    ...['max-age', 'stream-max-segment-size-bytes', 'initial-cluster-size', 'delivery-limit'],
    ...['dead-letter-strategy', 'max-in-memory-length', 'max-in-memory-bytes', 'target-group-size'],
  ]),
};

/** The policy that applies to a queue of this name: the matching one of the highest priority. */
export function policyThatApplies(
  policies: readonly Policy[],
  name: string,
  type: string,
): Policy | undefined {
  const kinds = ['all', 'queues', type === 'stream' ? 'streams' : `${type}_queues`];
  const [first] = policies
    .filter(({ applyTo, pattern }) => kinds.includes(applyTo) && isMatch(pattern, name))
    .filter(({ definition }) => !Object.keys(definition).some((key) => UNKNOWN_TO[type]?.has(key)))
    .sort((a, b) => b.priority - a.priority);
  return first;
}

function isMatch(pattern: string, name: string): boolean {
  try {
    return new RegExp(pattern).test(name);
  } catch {
    // Erlang supports more than JavaScript does.
    return false;
  }
}
