import type { Message, ReceivedMessage } from '../delivery/message.js';
import type { PrefetchBuffer } from '../delivery/prefetch-buffer.js';
import type { HandlerGuard } from '../handler-guard.js';
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

/** A handler with something around it. */
export interface GuardedWork {
  readonly guard: HandlerGuard;
}

/** What a consumer does with its messages: a handler for each or for many; undefined: loops take them. */
export type Work = ((message: Message) => unknown) | BatchWork | GuardedWork | undefined;

/** What is around the handler, if anything. */
export function guardOf(work: Work): HandlerGuard | undefined {
  return typeof work === 'object' && 'guard' in work ? work.guard : undefined;
}

export interface WorkerSettings
  extends Pick<HandlerWorkerSettings, 'admit' | 'onFailed' | 'clock' | 'tracer' | 'meter'> {
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
  if (typeof work === 'object' && 'onBatch' in work)
    return new BatchWorker({ ...settings, ...work, handler: work.onBatch, concurrency, handlerTimeoutMs });
  // What a worker hands over is the message itself.
  const handler =
    typeof work === 'function' ? work : (message: Message) => work.guard.handle(message as ReceivedMessage);
  const common = { ...settings, handler, concurrency, handlerTimeoutMs };
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
