import type { Message, ReceivedMessage } from '../../../src/consumer/delivery/message.js';
import { PrefetchBuffer } from '../../../src/consumer/delivery/prefetch-buffer.js';
import { HandlerWorker } from '../../../src/consumer/workers/handler-worker.js';
import type { Delivery } from '../../../src/transport/port.js';
import { type Deferred, deferred } from '../../../src/util/promises.js';
import { FakeSession, FakeSettler, received } from './deliveries.js';
import { FakeClock, turn } from './fake-clock.js';

export const tagOf = (message: Message) => (message as ReceivedMessage).delivery.deliveryTag;

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
  readonly errors: { readonly tag: number; readonly error: unknown }[] = [];
  readonly #running = new Map<number, Deferred<void>>();

  constructor(options: BenchOptions = {}) {
    const { concurrency = 1, handlerTimeoutMs = 1_000, admit = () => true } = options;
    const handler = options.handler ?? ((message) => this.#untilTold(message));
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
      onFailed: (message, error) => {
        this.errors.push({ tag: tagOf(message), error });
        message.settle({ kind: 'retry', error });
      },
    });
  }

  deliver(
    tags: readonly number[],
    session = this.session,
    overrides: Partial<Delivery> = {},
  ): ReceivedMessage[] {
    return tags.map((deliveryTag) => {
      const message = received({ ...overrides, deliveryTag }, { session, settler: this.settler });
      this.buffer.push(message);
      this.worker.fill();
      return message;
    });
  }

  /** The handler of this message ends. */
  async end(tag: number): Promise<void> {
    const handler = this.#running.get(tag);
    if (!handler) throw new Error(`the handler of ${tag} does not run`);
    handler.resolve();
    await turn();
  }

  #untilTold(message: Message): Promise<void> {
    const done = deferred<void>();
    this.#running.set(tagOf(message), done);
    return done.promise;
  }
}
