import { NEVER_REACHED } from '../../contracts/topology.js';
import type { Queue } from './server-state.js';
import { argument, deadLetterTargetOf, deliveryLimitOf, type Limit, limitOf } from './settings.js';

/** Limits from here on are never reached. */
const SAFE_DELIVERY_LIMIT = 1_000;

/** Why a queue does not keep its messages, and which settings would have to change. */
export interface Loss {
  readonly words: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly policy: Readonly<Record<string, unknown>>;
}

const LIMITS: readonly (readonly [key: Limit, words: (value: number) => string])[] = [
  ['message-ttl', (value) => `each expires after ${value} ms`],
  ['expires', (value) => `the queue itself is deleted when it is not used for ${value} ms`],
  ['max-length', (value) => `it holds ${value} messages`],
  ['max-length-bytes', (value) => `it holds ${value} bytes`],
];

export function lossesOf(queue: Queue, version: string): readonly Loss[] {
  const losses = LIMITS.flatMap(([key, words]): Loss[] => {
    const value = limitOf(queue, key);
    return value === undefined ? [] : [{ words: words(value), ...without(queue, key, undefined) }];
  });
  const limit = deliveryLimitOf(queue, version);
  // A queue with dead letters of its own processes its messages, and loses nothing.
  if (isReached(limit) && !deadLetterTargetOf(queue)) {
    const words = `each is dropped when it has come back ${limit} times, and a look at it counts as that before 4.3`;
    losses.push({ words, ...without(queue, 'delivery-limit', NEVER_REACHED) });
  }
  return losses;
}

/** Whether messages can reach a delivery limit. */
export function isReached(limit: number | undefined): limit is number {
  return limit !== undefined && limit >= 0 && limit < SAFE_DELIVERY_LIMIT;
}

/**
 * Changes a setting where it is made: in the queue's arguments, in its policy, or in both.
 *
 * @param value - the new value; undefined: none
 */
function without(queue: Queue, key: string, value: number | undefined): Pick<Loss, 'arguments' | 'policy'> {
  const own = argument(queue, key);
  const isOwn = own !== undefined && (value === undefined || isReached(own as number));
  const applied = queue.applied[key];
  const isApplied = applied !== undefined || (value !== undefined && !isOwn);
  return {
    arguments: isOwn ? { [`x-${key}`]: value } : {},
    policy: isApplied ? { [key]: value } : {},
  };
}
