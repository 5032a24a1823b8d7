import type { Message, ReceivedMessage } from '../delivery/message.js';
import type { PrefetchBuffer } from '../delivery/prefetch-buffer.js';
import type { BatchWork } from '../options/batch-options.js';
import type { ResolvedConsumerOptions } from '../options/consumer-options.js';
import { BatchWorker } from './batch-worker.js';
import type { HandlerGuard } from './handler-guard.js';
import { HandlerWorker, type HandlerWorkerSettings } from './handler-worker.js';
import { OrderedWorker } from './ordered-worker.js';
import type { Worker } from './worker.js';

/** A handler with a guard around it. */
export interface GuardedWork {
  readonly guard: HandlerGuard;
}

/** The work of a consumer: a handler for one message or for many; undefined: loops take the messages. */
export type Work = ((message: Message) => unknown) | BatchWork | GuardedWork | undefined;

/** The guard around the handler, if any. */
export function guardOf(work: Work): HandlerGuard | undefined {
  return typeof work === 'object' && 'guard' in work ? work.guard : undefined;
}

export interface WorkerSettings
  extends Pick<HandlerWorkerSettings, 'admit' | 'onFailed' | 'clock' | 'tracer' | 'meter'> {
  readonly buffer: PrefetchBuffer;
  /** Whether a message waits here for another run. */
  readonly isWaiting: (message: ReceivedMessage) => boolean;
}

const MAX_LOOK_AHEAD = 1_000;

/** Creates the worker for a handler. */
export function makeWorker(
  work: NonNullable<Work>,
  options: ResolvedConsumerOptions,
  isStream: boolean,
  settings: WorkerSettings,
): Worker {
  const { concurrency, handlerTimeoutMs, noAck } = options;
  if (typeof work === 'object' && 'onBatch' in work)
    return new BatchWorker({ ...settings, ...work, handler: work.onBatch, concurrency, handlerTimeoutMs });
  // A worker passes the internal message itself.
  const handler =
    typeof work === 'function' ? work : (message: Message) => work.guard.handle(message as ReceivedMessage);
  const common = { ...settings, handler, concurrency, handlerTimeoutMs };
  const orderBy = options.orderBy ?? (isStream ? streamOrder(concurrency) : undefined);
  if (!orderBy) return new HandlerWorker(common);
  // The prefetch bounds what is delivered ahead, except where nothing is acknowledged.
  const lookAhead = noAck ? MAX_LOOK_AHEAD : Number.POSITIVE_INFINITY;
  return new OrderedWorker({ ...common, orderBy, lookAhead });
}

/** A failed message is retried in place: on a stream that is read in order, all others wait for it. */
function streamOrder(concurrency: number): (message: Message) => unknown {
  return concurrency === 1 ? () => 'all' : () => undefined;
}
