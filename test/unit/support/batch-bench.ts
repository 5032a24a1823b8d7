import type { Message, ReceivedMessage } from '../../../src/consumer/delivery/message.js';
import { PrefetchBuffer } from '../../../src/consumer/delivery/prefetch-buffer.js';
import type { BatchContext } from '../../../src/consumer/options/batch-options.js';
import { BatchWorker } from '../../../src/consumer/workers/batch-worker.js';
import { FakeSession, FakeSettler } from './deliveries.js';
import { FakeClock } from './fake-clock.js';
import { deliverTo, type Failure, RunningHandlers, recordedIn, tagOf } from './worker-parts.js';

interface BenchOptions {
  readonly size?: number;
  readonly maxWaitMs?: number;
  readonly concurrency?: number;
  readonly handlerTimeoutMs?: number;
  /** By default one that runs until the test ends it. */
  readonly handler?: (messages: readonly Message[], batch: BatchContext) => unknown;
  readonly admit?: (message: ReceivedMessage) => boolean | Promise<boolean>;
}

/** A worker whose batches the test fills by delivering, and ends by hand. */
export class BatchBench {
  readonly clock = new FakeClock();
  readonly buffer = new PrefetchBuffer();
  readonly settler = new FakeSettler();
  readonly session = new FakeSession();
  readonly worker: BatchWorker;
  /** The tags of the batches that a handler got, in order. */
  readonly started: number[][] = [];
  readonly contexts: BatchContext[] = [];
  readonly errors: Failure[] = [];
  readonly #running = new RunningHandlers();

  constructor(options: BenchOptions = {}) {
    const {
      size = 3,
      maxWaitMs = 100,
      concurrency = 1,
      handlerTimeoutMs = 1_000,
      admit = () => true,
    } = options;
    const handler = options.handler ?? (() => this.#running.begin());
    this.worker = new BatchWorker({
      handler: (messages, batch) => {
        this.started.push(messages.map(tagOf));
        this.contexts.push(batch);
        return handler(messages, batch);
      },
      size,
      maxWaitMs,
      concurrency,
      handlerTimeoutMs,
      buffer: this.buffer,
      clock: this.clock,
      admit,
      onFailed: recordedIn(this.errors),
    });
  }

  deliver(tags: readonly number[], session = this.session) {
    return deliverTo(this, tags, session);
  }

  /** The handler of the batch that runs longest ends. */
  end(error?: Error): Promise<void> {
    return this.#running.endFirst(error);
  }
}
