import type { ConsumerTracer } from '../../diagnostics/consume.js';
import { outsideOfContexts } from '../../diagnostics/root-context.js';
import { TimeoutError } from '../../errors.js';
import type { Clock, Timer } from '../../util/clock.js';
import { Deadlines } from '../../util/deadlines.js';
import { type Deferred, deferred, isThenable } from '../../util/promises.js';
import type { Message, ReceivedMessage } from '../delivery/message.js';
import type { PrefetchBuffer } from '../delivery/prefetch-buffer.js';
import type { Session } from '../session/session.js';
import { Batch, type BatchContext } from './batch.js';
import { InOrderValidation } from './in-order-validation.js';
import type { Worker } from './worker.js';

export interface BatchWorkerSettings {
  readonly handler: (messages: readonly Message[], batch: BatchContext) => unknown;
  /** The most messages in a batch. */
  readonly size: number;
  /** How long the first message of a batch waits for others, in milliseconds. */
  readonly maxWaitMs: number;
  /** How many batches run at once. */
  readonly concurrency: number;
  readonly handlerTimeoutMs: number;
  readonly buffer: PrefetchBuffer;
  readonly clock: Clock;
  readonly tracer?: ConsumerTracer | undefined;
  /** Decodes and validates; false when the message is already settled. */
  readonly admit: (message: ReceivedMessage) => boolean | Promise<boolean>;
  /** A run has failed: reports it, and lets the retry policy decide unless the message has a verdict. */
  readonly onFailed: (message: ReceivedMessage, error: unknown) => void;
}

/**
 * Gathers messages and runs the handler on many of them at once. One batch is gathered ahead while others run, so that its
 * first message's waiting time counts from its arrival.
 */
export class BatchWorker implements Worker {
  readonly #settings: BatchWorkerSettings;
  readonly #inOrderValidation: InOrderValidation;
  readonly #running = new Set<Batch>();
  readonly #deadlines: Deadlines<Batch>;
  /** The next batch, in order. */
  #gathered: ReceivedMessage[] = [];
  /** Runs while the gathered messages may still wait for others. */
  #stallTimeout: Timer | undefined;
  #isFilling = false;
  #isFinishing = false;
  #idle: Deferred<void> | undefined;

  constructor(settings: BatchWorkerSettings) {
    const { clock, admit, handlerTimeoutMs, onFailed } = settings;
    this.#settings = settings;
    this.#inOrderValidation = new InOrderValidation({
      clock,
      admit,
      timeoutMs: handlerTimeoutMs,
      onAdmitted: (message) => {
        this.#gather(message);
        this.fill();
      },
      onFailed,
    });
    this.#deadlines = new Deadlines(clock, (batch) => this.#timedOut(batch));
  }

  get inFlight(): number {
    let count = 0;
    for (const { messages } of this.#running) count += messages.length;
    return count;
  }

  get waiting(): number {
    return this.#gathered.length + this.#inOrderValidation.length;
  }

  fill(): void {
    if (this.#isFilling) return;
    this.#isFilling = true;
    outsideOfContexts(this.#fillUp);
    this.#isFilling = false;
  }

  readonly #fillUp = (): void => {
    const { buffer, size } = this.#settings;
    while (!this.#isFinishing) {
      this.#runWhenReady();
      const message = this.waiting < size ? buffer.take() : undefined;
      if (!message) break;
      this.#inOrderValidation.add(message);
    }
  };

  drain(): ReceivedMessage[] {
    return [...this.#takeGathered(), ...this.#inOrderValidation.drain()];
  }

  sessionLost(session: Session, reason: Error): void {
    this.#inOrderValidation.dropSession(session);
    const kept = this.#gathered.filter((message) => message.session !== session);
    if (kept.length === 0) this.#takeGathered();
    else this.#gathered = kept;
    for (const batch of [...this.#running])
      if (batch.messages[0]?.session === session) this.#abandon(batch, reason);
  }

  async idle(): Promise<void> {
    if (this.#running.size === 0) return;
    this.#idle ??= deferred();
    await this.#idle.promise;
  }

  finish(): Promise<void> {
    this.#isFinishing = true;
    return this.idle();
  }

  abort(reason: Error): void {
    this.#isFinishing = true;
    this.#takeGathered();
    this.#inOrderValidation.clear();
    for (const batch of [...this.#running]) this.#abandon(batch, reason);
    this.#deadlines.clear();
  }

  #gather(message: ReceivedMessage): void {
    const { clock, maxWaitMs } = this.#settings;
    this.#gathered.push(message);
    if (this.#gathered.length > 1) return;
    this.#stallTimeout = clock.setTimeout(() => {
      this.#stallTimeout = undefined;
      this.fill();
    }, maxWaitMs);
  }

  #takeGathered(): ReceivedMessage[] {
    if (this.#stallTimeout) this.#settings.clock.clearTimeout(this.#stallTimeout);
    this.#stallTimeout = undefined;
    return this.#gathered.splice(0);
  }

  #runWhenReady(): void {
    const { size, concurrency } = this.#settings;
    const isReady =
      this.#gathered.length >= size || (this.#gathered.length > 0 && this.#stallTimeout === undefined);
    if (isReady && this.#running.size < concurrency) this.#run(new Batch(this.#takeGathered()));
  }

  #run(batch: Batch): void {
    const { handler, handlerTimeoutMs, clock, tracer } = this.#settings;
    this.#running.add(batch);
    this.#deadlines.add(batch, clock.now() + handlerTimeoutMs);
    const run = tracer?.batch(batch.messages);
    batch.run = run;
    let result: unknown;
    try {
      result = run ? run.run(() => handler(batch.messages, batch)) : handler(batch.messages, batch);
    } catch (error) {
      this.#failed(batch, error);
      return;
    }
    if (!isThenable(result)) {
      this.#succeeded(batch);
      return;
    }
    result.then(
      () => this.#succeeded(batch),
      (error: unknown) => this.#failed(batch, error),
    );
  }

  /** Messages that have a verdict of their own keep it. */
  #succeeded(batch: Batch): void {
    batch.run?.succeed();
    for (const message of batch.messages) message.settle({ kind: 'ack' });
    this.#leave(batch);
  }

  #failed(batch: Batch, error: unknown): void {
    this.#fail(batch, error);
    this.#leave(batch);
  }

  #timedOut(batch: Batch): void {
    const error = new TimeoutError(`The handler did not finish within ${this.#settings.handlerTimeoutMs} ms`);
    this.#fail(batch, error);
    this.#abandon(batch, error);
  }

  #fail({ messages, run }: Batch, error: unknown): void {
    run?.fail(error);
    for (const message of messages) if (!message.hasVerdict) this.#settings.onFailed(message, error);
  }

  /** Frees the place of a handler that still runs; when it returns, its messages are already settled or stale. */
  #abandon(batch: Batch, reason: Error): void {
    batch.run?.fail(reason);
    this.#leave(batch);
    batch.abort(reason);
  }

  #leave(batch: Batch): void {
    if (!this.#running.delete(batch)) return;
    this.#deadlines.remove(batch);
    if (this.#running.size === 0) {
      this.#idle?.resolve();
      this.#idle = undefined;
    }
    this.fill();
  }
}
