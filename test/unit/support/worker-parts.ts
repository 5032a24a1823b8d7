import type { Message, ReceivedMessage, Settler } from '../../../src/consumer/delivery/message.js';
import type { PrefetchBuffer } from '../../../src/consumer/delivery/prefetch-buffer.js';
import type { Worker } from '../../../src/consumer/workers/worker.js';
import type { Delivery } from '../../../src/transport/port.js';
import { type Deferred, deferred } from '../../../src/util/promises.js';
import { type FakeSession, received } from './deliveries.js';
import { turn } from './fake-clock.js';

export const tagOf = (message: Message) => (message as ReceivedMessage).delivery.deliveryTag;

/** The error of a failed run. */
export interface Failure {
  readonly tag: number;
  readonly error: unknown;
}

/** Records failed runs, and has their messages retried. */
export function recordedIn(failures: Failure[]) {
  return (message: ReceivedMessage, error: unknown): void => {
    failures.push({ tag: tagOf(message), error });
    message.settle({ kind: 'retry', error });
  };
}

/** Delivers messages to a worker, one after the other. */
export function deliverTo(
  {
    buffer,
    settler,
    worker,
  }: { readonly buffer: PrefetchBuffer; readonly settler: Settler; readonly worker: Worker },
  tags: readonly number[],
  session: FakeSession,
  overrides: Partial<Delivery> = {},
): ReceivedMessage[] {
  return tags.map((deliveryTag) => {
    const message = received({ ...overrides, deliveryTag }, { session, settler });
    buffer.push(message);
    worker.fill();
    return message;
  });
}

/** Handlers that run until the test ends them. */
export class RunningHandlers {
  readonly #handlers: { readonly tag: number | undefined; readonly done: Deferred<void> }[] = [];

  /** A handler begins. */
  begin(tag?: number): Promise<void> {
    const done = deferred<void>();
    this.#handlers.push({ tag, done });
    return done.promise;
  }

  /** The last handler that began with this tag ends. */
  end(tag: number, error?: Error): Promise<void> {
    return this.#end(
      this.#handlers.findLastIndex((handler) => handler.tag === tag),
      error,
    );
  }

  /** The handler that runs longest ends. */
  endFirst(error?: Error): Promise<void> {
    return this.#end(0, error);
  }

  async #end(at: number, error: Error | undefined): Promise<void> {
    const [handler] = at < 0 ? [] : this.#handlers.splice(at, 1);
    if (!handler) throw new Error('this handler does not run');
    if (error) handler.done.reject(error);
    else handler.done.resolve();
    await turn();
  }
}
