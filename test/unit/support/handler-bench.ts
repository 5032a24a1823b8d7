import type { Message, ReceivedMessage } from '../../../src/consumer/delivery/message.js';
import { PrefetchBuffer } from '../../../src/consumer/delivery/prefetch-buffer.js';
import { HandlerWorker } from '../../../src/consumer/workers/handler-worker.js';
import type { Delivery } from '../../../src/transport/port.js';
import { FakeSession, FakeSettler } from './deliveries.js';
import { FakeClock } from './fake-clock.js';
import { deliverTo, type Failure, RunningHandlers, recordedIn, tagOf } from './worker-parts.js';

interface BenchOptions {
  readonly concurrency?: number;
  readonly handlerTimeoutMs?: number;
  /** By default one that runs until the test ends it. */
  readonly handler?: (message: Message) => unknown;
  readonly admit?: (message: ReceivedMessage) => boolean | Promise<boolean>;
}

/** A worker whose handlers the test begins by delivering, and ends by hand. */
export class HandlerBench {
  readonly clock = new FakeClock();
  readonly buffer = new PrefetchBuffer();
  readonly settler = new FakeSettler();
  readonly session = new FakeSession();
  readonly worker: HandlerWorker;
  /** The tags of the messages that a handler got, in order. */
  readonly started: number[] = [];
  readonly errors: Failure[] = [];
  readonly #running = new RunningHandlers();

  constructor(options: BenchOptions = {}) {
    const { concurrency = 1, handlerTimeoutMs = 1_000, admit = () => true } = options;
    const handler = options.handler ?? ((message) => this.#running.begin(tagOf(message)));
    this.worker = new HandlerWorker({
      handler: (message) => {
        this.started.push(tagOf(message));
        return handler(message);
      },
      concurrency,
      handlerTimeoutMs,
      buffer: this.buffer,
      clock: this.clock,
      admit,
      onFailed: recordedIn(this.errors),
    });
  }

  deliver(tags: readonly number[], session = this.session, overrides: Partial<Delivery> = {}) {
    return deliverTo(this, tags, session, overrides);
  }

  /** The handler of this message ends. */
  end(tag: number): Promise<void> {
    return this.#running.end(tag);
  }
}
