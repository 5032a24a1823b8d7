import type { Schema } from '../contracts/body/schema.js';
import { exchange } from '../contracts/exchange.js';
import { queue } from '../contracts/queue.js';
import type { ExchangeContract, QueueContract } from '../contracts/types.js';

/** Accepts every body. */
const anything: Schema<unknown> = {
  '~standard': { version: 1, vendor: 'leveret', validate: (value) => ({ value }) },
};

/** A queue of which only the name is known. Never declared. */
export function bareQueue(name: string, codec: 'json' | 'bytes'): QueueContract {
  // The name is set after the contract's checks, because an existing queue may have any name.
  const made: QueueContract =
    codec === 'bytes'
      ? queue('bare', bytes, { codec, declare: false, retry: false })
      : queue('bare', anything, { declare: false, retry: false });
  return { ...made, name, deadLetter: `${name}.dead` };
}

const bytes: Schema<Uint8Array> = {
  '~standard': { version: 1, vendor: 'leveret', validate: (value) => ({ value: value as Uint8Array }) },
};

/** An exchange of which only the name is known. Never declared. */
export function bareExchange(name: string): ExchangeContract {
  return { ...(exchange('bare', anything, { declare: false }) as ExchangeContract), name };
}

/** The contract, but neither it nor its dead-letter queue is ever declared. */
export function undeclared<C extends QueueContract | ExchangeContract>(contract: C): C {
  return { ...contract, declare: false, bindings: [] };
}
