import type { SubscriptionContract } from '../contracts/exchange.js';
import { isQueue, isSubscription } from '../contracts/guards.js';
import type { QueueContract } from '../contracts/queue.js';
import { ConfigurationError } from '../errors.js';
import { show } from '../options.js';
import {
  type ConsumerOptions,
  type ResolvedConsumerOptions,
  resolveConsumerOptions,
} from './consumer-options.js';
import type { Message } from './message.js';

type Handler = (message: Message) => unknown;

/**
 * What `broker.consumer(…)` was called with: a contract, then a handler, options, or both.
 *
 * @throws ConfigurationError naming the argument that is wrong
 */
export function parseConsumerArguments(
  given: QueueContract | SubscriptionContract,
  handlerOrOptions: Handler | ConsumerOptions | undefined,
  maybeOptions: ConsumerOptions | undefined,
): {
  readonly contract: QueueContract;
  readonly handler: Handler | undefined;
  readonly options: ResolvedConsumerOptions;
} {
  const contract = isSubscription(given) ? given.toQueue() : given;
  if (!isQueue(contract)) {
    throw new ConfigurationError(
      'contract',
      `broker.consumer: expected a contract made by queue() or exchange.subscription(), got ${show(given)}`,
    );
  }
  if (contract.type === 'stream') {
    throw new ConfigurationError(
      'type',
      `The queue '${contract.name}' is a stream, which this version can not consume`,
    );
  }
  const handler = typeof handlerOrOptions === 'function' ? handlerOrOptions : undefined;
  if (!handler && maybeOptions !== undefined) {
    throw new ConfigurationError(
      'handler',
      `consumer('${contract.name}'): the handler must be a function, got ${show(handlerOrOptions)}`,
    );
  }
  const options = handler ? maybeOptions : (handlerOrOptions as ConsumerOptions | undefined);
  return { contract, handler, options: resolveConsumerOptions(contract, options) };
}
