import type { QueueContract } from '../../contracts/queue.js';
import { deliveryLimitOf } from '../doctor/settings.js';
import { readQueue } from '../doctor/survey.js';
import { isBefore } from '../doctor/version.js';
import { Management, ManagementFailure } from '../management.js';
import type { Where } from '../where.js';

/** What decides whether a look at a queue costs its messages something. */
export interface QueueKind {
  readonly type: string;
  /** Undefined: none is in force. */
  readonly deliveryLimit: number | undefined;
}

/** Under so many returns a look can be one too many. */
const SAFE_LIMIT = 1_000;

const LOOK_UP_MS = 3_000;

/** What a queue is, by the management API, else by its contract; undefined where nobody tells. */
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
    return contract && { type: contract.type, deliveryLimit: contract.deliveryLimit };
  }
}

/** Why a look at the queue is not free, in words; undefined where it is. */
export function wouldCount(kind: QueueKind | undefined, version: string): string | undefined {
  if (!isBefore(version, 4, 3) || (kind && kind.type !== 'quorum')) return undefined;
  const counts = `RabbitMQ ${version} counts every look at a message of a quorum queue as a return`;
  if (!kind)
    return `${counts}, and without the management API it is not known whether this is one, and how many it allows`;
  const { deliveryLimit } = kind;
  if (deliveryLimit === undefined || deliveryLimit < 0 || deliveryLimit >= SAFE_LIMIT) return undefined;
  return `${counts}, and this one allows ${deliveryLimit}: after that the message is dead-lettered, or lost`;
}
