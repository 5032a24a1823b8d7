import type { Contract } from '../contracts/types.js';
import { ConfigurationError } from '../errors.js';
import { show } from '../util/checks.js';
import type { Clock } from '../util/clock.js';
import { MAX_DELAY_MS } from '../util/limits.js';
import type { AnySendOptions } from './send-options.js';

/**
 * Checks the options that go together with a delay.
 *
 * @throws ConfigurationError
 */
export function checkDelay(contract: Contract, target: string, options: AnySendOptions, clock: Clock): void {
  const { delayMs, deliverAt, ttlMs, headers } = options;
  if (delayMs === undefined && deliverAt === undefined) return;
  const refuse = (option: string, reason: string) => {
    throw new ConfigurationError(option, `send to ${target}: ${reason}`);
  };
  if (delayMs !== undefined && deliverAt !== undefined)
    refuse('deliverAt', `pass either 'delayMs' or 'deliverAt', not both`);
  if (deliverAt !== undefined && deliverAt.getTime() - clock.wallNow() > MAX_DELAY_MS)
    refuse('deliverAt', `option 'deliverAt' must be at most 60 days ahead, got ${deliverAt.toISOString()}`);
  if (ttlMs !== undefined)
    refuse(
      'ttlMs',
      `'ttlMs' cannot be combined with a delay: the message would expire while it is delayed. Set 'messageTtlMs' on the queue`,
    );
  for (const name of ['CC', 'BCC']) {
    if (headers?.[name] !== undefined)
      refuse('headers', `the header '${name}' cannot be combined with a delay, got ${show(headers[name])}`);
  }
  if (contract.kind === 'queue' && contract.exclusive)
    refuse(
      'delayMs',
      'an exclusive queue cannot receive delayed messages: it belongs to the connection of its consumer',
    );
}
