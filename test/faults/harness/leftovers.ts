import { connect } from 'amqplib';
import type { ManagementApi } from '../../helpers/server/index.js';
import { deadLetterQueue, keyOf } from '../programs/workload.js';

/** What the queues hold when every program has ended. */
export interface Leftovers {
  /** Messages in the queues that were to be empty, by queue and key. */
  readonly queued: readonly { readonly queue: string; readonly k: string }[];
  readonly deadLetters: readonly string[];
}

/** Takes everything out of every queue of the virtual host. */
export async function takeLeftovers(
  url: string,
  management: ManagementApi,
  known: readonly string[],
): Promise<Leftovers> {
  const names = new Set([...known, deadLetterQueue, ...(await management.queues()).map(({ name }) => name)]);
  const queued: { queue: string; k: string }[] = [];
  const deadLetters: string[] = [];
  const connection = await connect(url);
  try {
    for (const queue of names) {
      const channel = await connection.createChannel();
      const { messageCount } = await channel.checkQueue(queue);
      for (let left = messageCount; left > 0; left--) {
        const message = await channel.get(queue, { noAck: true });
        if (!message) break;
        const k = keyOf(message.content) ?? '?';
        if (queue === deadLetterQueue) deadLetters.push(k);
        else queued.push({ queue, k });
      }
      await channel.close();
    }
  } finally {
    await connection.close();
  }
  return { queued, deadLetters };
}
