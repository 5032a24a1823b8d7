import { isSingleActive } from '../../contracts/guards.js';
import type { QueueContract } from '../../contracts/types.js';
import { ConfigurationError } from '../../errors.js';
import { type Check, checkOptions, expectDuration, expectInteger } from '../../util/checks.js';
import type { Message } from '../delivery/message.js';
import {
  type ConsumerOptions,
  consumerChecks,
  MAX_PREFETCH,
  MAX_SINGLE_ACTIVE_PREFETCH,
  type ResolvedConsumerOptions,
  resolveConsumerOptions,
} from './consumer-options.js';

/** The second argument of a batch handler. */
export interface BatchContext {
  /**
   * Aborts once further work is pointless: the deliveries were lost (the server will redeliver the messages), the handler's
   * time limit has passed, or the consumer is closed and its deadline has passed.
   */
  readonly signal: AbortSignal;
}

/** The work for each batch of messages. */
export interface BatchWork {
  readonly onBatch: (messages: readonly Message[], batch: BatchContext) => unknown;
  /** The most messages in a batch. */
  readonly size: number;
  /** How long the first message of a batch waits for others, in milliseconds. */
  readonly maxWaitMs: number;
}

/**
 * The options of `broker.batchConsumer(…)`: the consumer options except `noAck`.
 *
 * @example
 * ```ts
 * broker.batchConsumer(emails, async (messages, { signal }) => {
 *   await Promise.all(messages.map(({ body }) => deliver(body, { signal })));
 * }, { size: 50, maxWaitMs: 200 });
 * ```
 */
export interface BatchConsumerOptions extends Omit<ConsumerOptions, 'concurrency' | 'prefetch' | 'noAck'> {
  /**
   * The most messages in a batch, 1 to 10 000. On a queue with `singleActiveConsumer`, `size` × `concurrency` is at most 20.
   * @defaultValue 100; 20 with `singleActiveConsumer`
   */
  readonly size?: number | undefined;
  /**
   * How long the first message of a batch waits for others, in milliseconds, 0 or more; then the handler receives what has
   * arrived. An empty batch waits indefinitely. @defaultValue 1000
   */
  readonly maxWaitMs?: number | undefined;
  /**
   * How many batches are handled at once, 1 to 1 000. A message that was redelivered often usually runs with the others of
   * its batch: if it ends the process, all of them are requeued. @defaultValue 1
   */
  readonly concurrency?: number | undefined;
  /**
   * How many messages the server may deliver ahead; at least `size` × (`concurrency` + 1), so that the next batch can fill
   * while the others are handled, and at most 65 535. With `singleActiveConsumer` it is between `size` × `concurrency` and
   * 20.
   * @defaultValue the smallest allowed number
   */
  readonly prefetch?: number | undefined;
}

const { noAck: _noAck, orderBy: _orderBy, ...sharedChecks } = consumerChecks;

const batchChecks: Readonly<Record<string, Check>> = {
  ...sharedChecks,
  size: expectInteger(1, 10_000),
  maxWaitMs: expectDuration(0),
  concurrency: expectInteger(1, 1_000),
  prefetch: expectInteger(1, MAX_PREFETCH),
};

/** `ahead`: batches that are delivered while others are handled. */
const shared = { most: MAX_PREFETCH, ahead: 1, defaultSize: 100 } as const;
/** The limit there is so low that no batch is delivered ahead. */
const singleActive = {
  most: MAX_SINGLE_ACTIVE_PREFETCH,
  ahead: 0,
  defaultSize: MAX_SINGLE_ACTIVE_PREFETCH,
} as const;

/** Checks the options and fills in the defaults. */
export function resolveBatchOptions(
  contract: QueueContract,
  given: BatchConsumerOptions = {},
): { readonly batches: Omit<BatchWork, 'onBatch'>; readonly options: ResolvedConsumerOptions } {
  const where = `batchConsumer('${contract.name}')`;
  checkOptions(where, given, batchChecks);
  const { most, ahead, defaultSize } = isSingleActive(contract) ? singleActive : shared;
  const { size = defaultSize, maxWaitMs = 1_000, concurrency = 1, ...others } = given;
  const least = size * (concurrency + ahead);
  const product = ahead ? "'size' × ('concurrency' + 1)" : "'size' × 'concurrency'";
  if (least > most) {
    throw new ConfigurationError(
      'size',
      `${where}: ${product} must be at most ${most}, the most that can be delivered ahead, got ${least}`,
    );
  }
  const { prefetch = least } = others;
  if (prefetch < least) {
    throw new ConfigurationError(
      'prefetch',
      `${where}: option 'prefetch' must be at least ${product}, here ${least}, got ${prefetch}`,
    );
  }
  const options = resolveConsumerOptions(contract, { ...others, concurrency, prefetch });
  return { batches: { size, maxWaitMs }, options };
}
