import { Broker, type QueueContract, queue } from 'leveret';
import { z } from 'zod';

/**
 * Removes the queues, and their dead-letter queues, that an earlier run may have left, and removes them again at the end.
 * Only an example needs this: a queue is there to stay.
 */
export async function freshQueues(
  url: string,
  ...queues: readonly QueueContract[]
): Promise<AsyncDisposable> {
  await remove(url, queues);
  return { [Symbol.asyncDispose]: () => remove(url, queues) };
}

async function remove(url: string, queues: readonly QueueContract[]): Promise<void> {
  await using broker = await Broker.connect(url);
  for (const contract of queues) {
    await broker.delete(contract);
    if (contract.deadLetter) await broker.delete(queue(contract.deadLetter, z.unknown()));
  }
}
