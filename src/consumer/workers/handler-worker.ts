import type { ConsumerTracer } from '../../diagnostics/consume.js';
import { outsideOfContexts } from '../../diagnostics/root-context.js';
import { TimeoutError } from '../../errors.js';
import type { Clock } from '../../util/clock.js';
import { Deadlines } from '../../util/deadlines.js';
import { type Deferred, deferred, isThenable } from '../../util/promises.js';
import { SlotList } from '../../util/slot-list.js';
import type { Message, ReceivedMessage } from '../delivery/message.js';
import type { PrefetchBuffer } from '../delivery/prefetch-buffer.js';
import type { Session } from '../session/session.js';
import type { Meter, Worker } from './worker.js';

export interface HandlerWorkerSettings {
  readonly handler: (message: Message) => unknown;
  readonly concurrency: number;
  readonly handlerTimeoutMs: number;
  readonly buffer: Pick<PrefetchBuffer, 'take' | 'next'>;
  readonly clock: Clock;
  readonly tracer?: ConsumerTracer | undefined;
  /** Decodes and validates; false when the message is already settled. */
  readonly admit: (message: ReceivedMessage) => boolean | Promise<boolean>;
  /** A run has failed: reports it, and lets the retry policy decide unless the message has a verdict. */
  readonly onFailed: (message: ReceivedMessage, error: unknown) => void;
  /** Measures the runs. */
  readonly meter?: Meter | undefined;
  /** The message's place is free, whether its run has ended or not. */
  readonly onLeft?: (message: ReceivedMessage) => void;
}

/** Runs the handler on as many messages at once as the concurrency allows. */
export class HandlerWorker implements Worker {
  readonly #settings: HandlerWorkerSettings;
  readonly #active = new SlotList<ReceivedMessage>();
  readonly #deadlines: Deadlines<ReceivedMessage>;
  /** A suspect message is running, alone. */
  #isAlone = false;
  #isFilling = false;
  #isFinishing = false;
  #idle: Deferred<void> | undefined;

  constructor(settings: HandlerWorkerSettings) {
    this.#settings = settings;
    this.#deadlines = new Deadlines(settings.clock, (message) => this.#timedOut(message));
  }

  get inFlight(): number {
    return this.#active.size;
  }

  fill(): void {
    // Handlers that return at once come back here from within the loop, which continues by itself.
    if (this.#isFilling) return;
    this.#isFilling = true;
    outsideOfContexts(this.#fillUp);
    this.#isFilling = false;
  }

  readonly #fillUp = (): void => {
    const { buffer, concurrency } = this.#settings;
    while (!this.#isFinishing && !this.#isAlone && this.#active.size < concurrency) {
      // Messages that run beside one that ends the process would be redelivered with it, until the server has counted too
      // many deliveries.
      const isSuspect = concurrency > 1 && buffer.next?.isSuspect === true;
      if (isSuspect && this.#active.size > 0) break;
      const message = buffer.take();
      if (!message) break;
      this.#isAlone = isSuspect;
      this.#begin(message);
    }
  };

  sessionLost(session: Session, reason: Error): void {
    for (const message of this.#active) {
      if (message.session === session) this.#abandon(message, reason);
    }
  }

  async idle(): Promise<void> {
    if (this.#active.size === 0) return;
    this.#idle ??= deferred();
    await this.#idle.promise;
  }

  finish(): Promise<void> {
    this.#isFinishing = true;
    return this.idle();
  }

  abort(reason: Error): void {
    this.#isFinishing = true;
    for (const message of this.#active) this.#abandon(message, reason);
    this.#deadlines.clear();
  }

  #begin(message: ReceivedMessage): void {
    const { clock, handlerTimeoutMs } = this.#settings;
    this.#active.add(message);
    const admitted = this.#settings.admit(message);
    if (admitted === true) this.#run(message);
    else if (admitted === false) this.#leave(message);
    else {
      // An asynchronous schema can hang just as a handler can.
      this.#deadlines.add(message, clock.now() + handlerTimeoutMs);
      void admitted.then((isValid) => {
        this.#deadlines.remove(message);
        if (isValid && this.#active.has(message)) this.#run(message);
        else this.#leave(message);
      });
    }
  }

  #run(message: ReceivedMessage): void {
    const { handler, handlerTimeoutMs, clock, tracer } = this.#settings;
    this.#deadlines.add(message, clock.now() + handlerTimeoutMs);
    const run = tracer?.run(message);
    message.run = run;
    this.#settings.meter?.begun(message);
    let result: unknown;
    try {
      result = run ? run.run(() => handler(message)) : handler(message);
    } catch (error) {
      this.#failed(message, error);
      return;
    }
    if (!isThenable(result)) {
      this.#succeeded(message);
      return;
    }
    result.then(
      () => this.#succeeded(message),
      (error: unknown) => this.#failed(message, error),
    );
  }

  #succeeded(message: ReceivedMessage): void {
    message.run?.succeed();
    message.settle({ kind: 'ack' });
    this.#leave(message);
  }

  #failed(message: ReceivedMessage, error: unknown): void {
    message.run?.fail(error);
    this.#settings.onFailed(message, error);
    this.#leave(message);
  }

  #timedOut(message: ReceivedMessage): void {
    const error = new TimeoutError(`The handler did not finish within ${this.#settings.handlerTimeoutMs} ms`);
    message.run?.fail(error);
    this.#settings.onFailed(message, error);
    this.#abandon(message, error);
  }

  /** Frees the place of a handler that still runs; when it returns, its message is already settled or stale. */
  #abandon(message: ReceivedMessage, reason: Error): void {
    message.run?.fail(reason);
    this.#leave(message);
    message.abort(reason);
  }

  #leave(message: ReceivedMessage): void {
    if (!this.#active.delete(message)) return;
    this.#deadlines.remove(message);
    // The suspect message was the only one.
    this.#isAlone = false;
    this.#settings.meter?.ended(message);
    this.#settings.onLeft?.(message);
    if (this.#active.size === 0) {
      this.#idle?.resolve();
      this.#idle = undefined;
    }
    this.fill();
  }
}
