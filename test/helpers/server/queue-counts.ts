import { connect } from 'amqplib';

export interface QueueCounts {
  /** Ready for delivery: neither delivered nor acknowledged. */
  readonly messages: number;
  readonly consumers: number;
}

/**
 * Asks the server over a connection of its own, with a passive declare: exact at this moment, unlike the management API.
 * Rejects if there is no such queue.
 */
export async function queueCounts(url: string, queue: string): Promise<QueueCounts> {
  const connection = await connect(url);
  connection.on('error', () => undefined); // A missing queue is reported by checkQueue.
  try {
    const channel = await connection.createChannel();
    channel.on('error', () => undefined);
    const { messageCount, consumerCount } = await channel.checkQueue(queue);
    return { messages: messageCount, consumers: consumerCount };
  } finally {
    await connection.close();
  }
}

/** The number of messages in a queue that are ready for delivery, now. */
export async function queueDepth(url: string, queue: string): Promise<number> {
  return (await queueCounts(url, queue)).messages;
}
