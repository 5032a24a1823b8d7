import type { Schema } from '../contracts/body/schema.js';
import { type ExchangeContract, exchange } from '../contracts/exchange.js';
import { type QueueContract, queue } from '../contracts/queue.js';

/** Lets every body pass. */
const anything: Schema<unknown> = {
  '~standard': { version: 1, vendor: 'leveret', validate: (value) => ({ value }) },
};

/** A queue of which nothing is known but its name. Never declared. */
export function bareQueue(name: string, codec: 'json' | 'bytes'): QueueContract {
  // Under a name of its own after the checks of a contract, since a queue that is there may have any.
  const made: QueueContract =
    codec === 'bytes'
      ? queue('bare', bytes, { codec, declare: false, retry: false })
      : queue('bare', anything, { declare: false, retry: false });
  return { ...made, name, deadLetter: `${name}.dead` };
}

const bytes: Schema<Uint8Array> = {
  '~standard': { version: 1, vendor: 'leveret', validate: (value) => ({ value: value as Uint8Array }) },
};

/** An exchange of which nothing is known but its name. Never declared. */
export function bareExchange(name: string): ExchangeContract {
  return { ...(exchange('bare', anything, { declare: false }) as ExchangeContract), name };
}

/** A contract as it is, but never declared, nor its dead-letter queue. */
export function undeclared<C extends QueueContract | ExchangeContract>(contract: C): C {
  return { ...contract, declare: false, bindings: [] };
}
