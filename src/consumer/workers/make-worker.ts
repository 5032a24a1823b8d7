import type { Message, ReceivedMessage } from '../delivery/message.js';
import type { PrefetchBuffer } from '../delivery/prefetch-buffer.js';
import type { ResolvedConsumerOptions } from '../options/consumer-options.js';
import type { BatchContext } from './batch.js';
import { BatchWorker } from './batch-worker.js';
import { HandlerWorker, type HandlerWorkerSettings } from './handler-worker.js';
import { OrderedWorker } from './ordered-worker.js';
import type { Worker } from './worker.js';

/** What is to run for each batch of messages. */
export interface BatchWork {
  readonly onBatch: (messages: readonly Message[], batch: BatchContext) => unknown;
  /** The most messages of a batch. */
  readonly size: number;
  /** How long the first message of a batch waits for the others, in milliseconds. */
  readonly maxWaitMs: number;
}

/** What a consumer does with its messages: a handler for each or for many; undefined: loops take them. */
export type Work = ((message: Message) => unknown) | BatchWork | undefined;

export interface WorkerSettings extends Pick<HandlerWorkerSettings, 'admit' | 'onFailed' | 'clock'> {
  readonly buffer: PrefetchBuffer;
  readonly isHeld: (message: ReceivedMessage) => boolean;
}

const MAX_LOOK_AHEAD = 1_000;

/** The worker for a handler. */
export function makeWorker(
  work: NonNullable<Work>,
  options: ResolvedConsumerOptions,
  isStream: boolean,
  settings: WorkerSettings,
): Worker {
  const { concurrency, handlerTimeoutMs, noAck } = options;
  if (typeof work !== 'function')
    return new BatchWorker({ ...settings, ...work, handler: work.onBatch, concurrency, handlerTimeoutMs });
  const common = { ...settings, handler: work, concurrency, handlerTimeoutMs };
  const orderBy = options.orderBy ?? (isStream ? streamOrder(concurrency) : undefined);
  if (!orderBy) return new HandlerWorker(common);
  // The prefetch bounds what is delivered ahead, but where nothing is acknowledged.
  const lookAhead = noAck ? MAX_LOOK_AHEAD : Number.POSITIVE_INFINITY;
  return new OrderedWorker({ ...common, orderBy, lookAhead });
}

/** A failed message runs again in its place: on a stream that is read in order, all others wait for it. */
function streamOrder(concurrency: number): (message: Message) => unknown {
  return concurrency === 1 ? () => 'all' : () => undefined;
}
