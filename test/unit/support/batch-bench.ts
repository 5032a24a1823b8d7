import type { Message, ReceivedMessage } from '../../../src/consumer/delivery/message.js';
import { PrefetchBuffer } from '../../../src/consumer/delivery/prefetch-buffer.js';
import type { BatchContext } from '../../../src/consumer/options/batch-options.js';
import { BatchWorker } from '../../../src/consumer/workers/batch-worker.js';
import { type Deferred, deferred } from '../../../src/util/promises.js';
import { FakeSession, FakeSettler, received } from './deliveries.js';
import { FakeClock, turn } from './fake-clock.js';
import { tagOf } from './handler-bench.js';

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
  readonly errors: { readonly tag: number; readonly error: unknown }[] = [];
  readonly #running: Deferred<void>[] = [];

  constructor(options: BenchOptions = {}) {
    const {
      size = 3,
      maxWaitMs = 100,
      concurrency = 1,
      handlerTimeoutMs = 1_000,
      admit = () => true,
    } = options;
    const handler = options.handler ?? (() => this.#untilTold());
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
      onFailed: (message, error) => {
        this.errors.push({ tag: tagOf(message), error });
        message.settle({ kind: 'retry', error });
      },
    });
  }

  deliver(tags: readonly number[], session = this.session): ReceivedMessage[] {
    return tags.map((deliveryTag) => {
      const message = received({ deliveryTag }, { session, settler: this.settler });
      this.buffer.push(message);
      this.worker.fill();
      return message;
    });
  }

  /** The handler of the batch that runs longest ends. */
  async end(error?: Error): Promise<void> {
    const handler = this.#running.shift();
    if (!handler) throw new Error('no handler runs');
    if (error) handler.reject(error);
    else handler.resolve();
    await turn();
  }

  #untilTold(): Promise<void> {
    const done = deferred<void>();
    this.#running.push(done);
    return done.promise;
  }
}
