import { ConfigurationError } from '../errors.js';
import { show } from '../util/checks.js';
import { isExchange, isQueue } from './guards.js';
import type { Contract, DelaysContract } from './types.js';

/**
 * Describes everything that delayed messages and retries need on the server: the queues and exchanges named
 * `leveret.delay.…`, and the way from there to these queues and exchanges. Without it, each part is declared when it is first
 * needed. Declare it ahead where the program itself has no permission to.
 *
 * @param contracts - the queues and exchanges that get delayed messages, or whose consumers try again after a delay
 * @throws ConfigurationError for anything else, and for an exclusive queue, which cannot receive delayed messages
 *
 * @example
 * ```ts
 * await broker.declare(delays(emails, orders));
 * ```
 */
export function delays(...contracts: readonly Contract[]): DelaysContract {
  for (const contract of contracts) {
    const isPossible = isExchange(contract) || (isQueue(contract) && !contract.exclusive);
    if (isPossible) continue;
    const expected = 'contracts made by exchange() or queue(), except exclusive queues';
    throw new ConfigurationError('contracts', `delays: expected ${expected}, got ${show(contract)}`);
  }
  return Object.freeze({ kind: 'delays', contracts: Object.freeze([...contracts]) });
}
