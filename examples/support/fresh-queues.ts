import { Broker, type Contract, queue } from 'leveret';
import { z } from 'zod';

/**
 * Removes the queues, with their dead-letter queues, and the exchanges that an earlier run may have left, and removes them
 * again at the end. Only an example needs this: a queue is there to stay.
 */
export async function freshQueues(
  url: string | readonly string[],
  ...contracts: readonly Contract[]
): Promise<AsyncDisposable> {
  await remove(url, contracts);
  return { [Symbol.asyncDispose]: () => remove(url, contracts) };
}

async function remove(url: string | readonly string[], contracts: readonly Contract[]): Promise<void> {
  await using broker = await Broker.connect(url);
  for (const contract of contracts) {
    await broker.delete(contract);
    if (contract.kind === 'queue' && contract.deadLetter)
      await broker.delete(queue(contract.deadLetter, z.unknown()));
  }
}
