import { isBefore } from '../../util/server-version.js';
import type { Queue } from './server-state.js';

/** The settings of a queue as the server applies them: https://www.rabbitmq.com/docs/parameters#policies */

/** Since this version a quorum queue has a delivery limit of 20 by default. */
const DEFAULT_LIMIT_SINCE = [4, 0] as const;
const DEFAULT_DELIVERY_LIMIT = 20;

/** Limits: of an argument and a policy, the smaller one is in force. */
export type Limit = 'message-ttl' | 'expires' | 'max-length' | 'max-length-bytes' | 'consumer-timeout';

export function limitOf(queue: Queue, key: Limit): number | undefined {
  const values = [argument(queue, key), queue.applied[key]].filter((value) => typeof value === 'number');
  return values.length === 0 ? undefined : Math.min(...values);
}

/**
 * How often a message may be redelivered; undefined: without a limit, as for every queue that is not a quorum queue.
 * Negative: without a limit, too.
 */
export function deliveryLimitOf(queue: Queue, version: string): number | undefined {
  if (queue.type !== 'quorum') return undefined;
  const values = [argument(queue, 'delivery-limit'), queue.applied['delivery-limit']].filter(
    (value) => typeof value === 'number',
  );
  if (values.length > 0) return values.some((value) => value < 0) ? Math.max(...values) : Math.min(...values);
  return isBefore(version, ...DEFAULT_LIMIT_SINCE) ? undefined : DEFAULT_DELIVERY_LIMIT;
}

/** Where dead letters go: an argument wins over a policy. */
export function deadLetterTargetOf(
  queue: Queue,
): { readonly exchange: string; readonly routingKey: string | undefined } | undefined {
  const exchange = argument(queue, 'dead-letter-exchange') ?? queue.applied['dead-letter-exchange'];
  if (typeof exchange !== 'string') return undefined;
  const key = argument(queue, 'dead-letter-routing-key') ?? queue.applied['dead-letter-routing-key'];
  return { exchange, routingKey: typeof key === 'string' ? key : undefined };
}

/** What happens to a message for a full queue. For a quorum queue the policy wins, for a classic queue the argument. */
export function overflowOf(queue: Queue): string {
  const own = argument(queue, 'overflow');
  const applied = queue.applied.overflow;
  const [first, second] = queue.type === 'quorum' ? [applied, own] : [own, applied];
  const value = first ?? second;
  return typeof value === 'string' ? value : 'drop-head';
}

export function argument(queue: Queue, key: string): unknown {
  return queue.arguments[`x-${key}`];
}
