import type { ConsumerTracer } from '../../diagnostics/consume.js';
import { outsideOfContexts } from '../../diagnostics/root-context.js';
import type { Clock, Timer } from '../../util/clock.js';
import type { Message, ReceivedMessage } from '../delivery/message.js';
import type { PrefetchBuffer } from '../delivery/prefetch-buffer.js';
import type { BatchContext } from '../options/batch-options.js';
import type { Session } from '../session/session.js';
import { Batch } from './batch.js';
import { InOrderValidation } from './in-order-validation.js';
import { Runner } from './runner.js';
import type { Worker } from './worker.js';

export interface BatchWorkerSettings {
  readonly handler: (messages: readonly Message[], batch: BatchContext) => unknown;
  /** The most messages in a batch. */
  readonly size: number;
  /** How long the first message of a batch waits for others, in milliseconds. */
  readonly maxWaitMs: number;
  /** The number of batches that run at once. */
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
  readonly #runner: Runner<Batch>;
  /** The next batch, in order. */
  #gathered: ReceivedMessage[] = [];
  /** Runs while the gathered messages may still wait for others. */
  #maxWaitTimer: Timer | undefined;
  #isFilling = false;
  #isFinishing = false;

  constructor(settings: BatchWorkerSettings) {
    const { handler, clock, admit, handlerTimeoutMs, tracer, onFailed } = settings;
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
    this.#runner = new Runner({
      handler: (batch) => handler(batch.messages, batch),
      handlerTimeoutMs,
      clock,
      onRun: (batch) => tracer?.batch(batch.messages),
      // Messages that have a verdict of their own keep it.
      onSucceeded: ({ messages }) => {
        for (const message of messages) message.settle({ kind: 'ack' });
      },
      onFailed: ({ messages }, error) => {
        for (const message of messages) if (!message.hasVerdict) onFailed(message, error);
      },
      onLeft: () => this.fill(),
    });
  }

  get inFlight(): number {
    let count = 0;
    for (const { messages } of this.#runner) count += messages.length;
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
    this.#runner.sessionLost(session, reason);
  }

  idle(): Promise<void> {
    return this.#runner.idle();
  }

  finish(): Promise<void> {
    this.#isFinishing = true;
    return this.idle();
  }

  abort(reason: Error): void {
    this.#isFinishing = true;
    this.#takeGathered();
    this.#inOrderValidation.clear();
    this.#runner.abort(reason);
  }

  #gather(message: ReceivedMessage): void {
    const { clock, maxWaitMs } = this.#settings;
    this.#gathered.push(message);
    if (this.#gathered.length > 1) return;
    this.#maxWaitTimer = clock.setTimeout(() => {
      this.#maxWaitTimer = undefined;
      this.fill();
    }, maxWaitMs);
  }

  #takeGathered(): ReceivedMessage[] {
    if (this.#maxWaitTimer) this.#settings.clock.clearTimeout(this.#maxWaitTimer);
    this.#maxWaitTimer = undefined;
    return this.#gathered.splice(0);
  }

  #runWhenReady(): void {
    const { size, concurrency } = this.#settings;
    const isReady =
      this.#gathered.length >= size || (this.#gathered.length > 0 && this.#maxWaitTimer === undefined);
    if (isReady && this.#runner.size < concurrency) this.#run(new Batch(this.#takeGathered()));
  }

  #run(batch: Batch): void {
    this.#runner.add(batch);
    this.#runner.run(batch);
  }
}
