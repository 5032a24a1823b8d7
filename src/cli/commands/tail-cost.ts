import type { QueueContract } from '../../contracts/types.js';
import { isBefore } from '../../util/server-version.js';
import { deliveryLimitOf } from '../doctor/settings.js';
import { MissingQueue, readQueue } from '../doctor/survey.js';
import { CommandFailure, EXIT } from '../failure.js';
import { Management, ManagementFailure } from '../management.js';
import type { Where } from '../server-address.js';
import { printable } from '../text.js';

/** What decides whether looking at a queue has a cost for its messages. */
export interface QueueKind {
  readonly type: string;
  /** Undefined: no limit is in force. */
  readonly deliveryLimit: number | undefined;
}

/** Below this limit, a look can be one delivery too many. */
const SAFE_LIMIT = 1_000;

const LOOK_UP_MS = 3_000;

/** The type of a queue according to the management API, or else its contract; undefined if neither is known. */
export async function kindOf(
  name: string,
  where: Where,
  contract: QueueContract | undefined,
  signal: AbortSignal,
): Promise<QueueKind | undefined> {
  try {
    const client = new Management(where.management, signal, LOOK_UP_MS);
    const { queue, version } = await readQueue(client, where.vhost, name);
    return { type: queue.type, deliveryLimit: deliveryLimitOf(queue, version) };
  } catch (error) {
    if (!(error instanceof ManagementFailure)) throw error;
    if (error instanceof MissingQueue)
      throw new CommandFailure(EXIT.no, `there is no queue '${printable(name)}' in this virtual host`);
    return contract && { type: contract.type, deliveryLimit: contract.deliveryLimit };
  }
}

/** Why looking at the queue has a cost, in words; undefined if it has none. */
export function wouldCount(kind: QueueKind | undefined, version: string): string | undefined {
  if (!isBefore(version, 4, 3) || (kind && kind.type !== 'quorum')) return undefined;
  const counts = `RabbitMQ ${version} counts every look at a message of a quorum queue as a return`;
  if (!kind)
    return `${counts}, and without the management API it is not known whether this is one, and how many it allows`;
  const { deliveryLimit } = kind;
  if (deliveryLimit === undefined || deliveryLimit < 0 || deliveryLimit >= SAFE_LIMIT) return undefined;
  return `${counts}, and this one allows ${deliveryLimit}: after that the message is dead-lettered, or lost`;
}
