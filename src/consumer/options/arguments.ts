import { isQueue, isSubscription } from '../../contracts/guards.js';
import type { QueueContract, SubscriptionContract } from '../../contracts/types.js';
import { ConfigurationError } from '../../errors.js';
import { type Check, show } from '../../util/checks.js';
import type { Message } from '../delivery/message.js';
import { type BatchConsumerOptions, type BatchWork, resolveBatchOptions } from './batch-options.js';
import {
  type HandlerOptions,
  type ResolvedConsumerOptions,
  resolveConsumerOptions,
} from './consumer-options.js';

type Handler = (message: Message, tx?: unknown) => unknown;
type AnyContract = QueueContract | SubscriptionContract;

/** The options that ask for a guard around a handler, before they are checked. */
export interface GivenGuardOptions {
  readonly inbox?: unknown;
  readonly idempotency?: unknown;
  readonly idempotencyKey?: unknown;
}

/**
 * Parses the arguments of `broker.consumer(…)`: a contract, then a handler, options, or both.
 *
 * @throws ConfigurationError that names the wrong argument
 */
export function parseConsumerArguments(
  givenContract: AnyContract,
  rest: readonly unknown[],
): {
  readonly contract: QueueContract;
  readonly handler: Handler | undefined;
  readonly options: ResolvedConsumerOptions;
  /** The options that ask for a guard around the handler. */
  readonly given: GivenGuardOptions;
} {
  const contract = contractOf('consumer', givenContract);
  const [first, maybeOptions] = rest as [unknown, HandlerOptions | undefined];
  const handler = typeof first === 'function' ? (first as Handler) : undefined;
  // An undefined handler is a mistake, such as a circular import: it must not become a loop that never begins.
  const isOptions =
    rest.length === 0 || (typeof first === 'object' && first !== null && !Array.isArray(first));
  if (!handler && (maybeOptions !== undefined || !isOptions)) {
    const expected = 'a handler, or options for a consumer that a loop reads';
    throw new ConfigurationError(
      'handler',
      `consumer('${contract.name}'): expected ${expected}, as the second argument; got ${show(first)}`,
    );
  }
  const options = handler ? maybeOptions : (first as HandlerOptions | undefined);
  if (!handler && options?.orderBy) {
    throw new ConfigurationError(
      'orderBy',
      `consumer('${contract.name}'): 'orderBy' orders the runs of a handler, and there is none`,
    );
  }
  const resolved = resolveConsumerOptions(contract, options, guardChecks);
  return { contract, handler, options: resolved, given: (options ?? {}) as GivenGuardOptions };
}

/** Resolved elsewhere: only their names are known here. */
const guardChecks: Readonly<Record<string, Check>> = {
  inbox: () => undefined,
  idempotency: () => undefined,
  idempotencyKey: () => undefined,
};

/**
 * Parses the arguments of `broker.batchConsumer(…)`.
 *
 * @throws ConfigurationError that names the wrong argument
 */
export function parseBatchArguments(
  given: AnyContract,
  onBatch: BatchWork['onBatch'],
  batchOptions: BatchConsumerOptions | undefined,
): {
  readonly contract: QueueContract;
  readonly work: BatchWork;
  readonly options: ResolvedConsumerOptions;
} {
  const contract = contractOf('batchConsumer', given);
  if (typeof onBatch !== 'function') {
    throw new ConfigurationError(
      'handler',
      `batchConsumer('${contract.name}'): the handler must be a function, got ${show(onBatch)}`,
    );
  }
  const { batches, options } = resolveBatchOptions(contract, batchOptions);
  return { contract, work: { onBatch, ...batches }, options };
}

function contractOf(method: string, given: AnyContract): QueueContract {
  const contract = isSubscription(given) ? given.toQueue() : given;
  if (isQueue(contract)) return contract;
  throw new ConfigurationError(
    'contract',
    `broker.${method}: expected a contract made by queue() or exchange.subscription(), got ${show(given)}`,
  );
}
