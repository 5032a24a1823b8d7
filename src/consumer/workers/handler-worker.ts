import type { ConsumerTracer } from '../../diagnostics/consume.js';
import { outsideOfContexts } from '../../diagnostics/root-context.js';
import type { Clock } from '../../util/clock.js';
import type { Message, ReceivedMessage } from '../delivery/message.js';
import type { PrefetchBuffer } from '../delivery/prefetch-buffer.js';
import type { Session } from '../session/session.js';
import { Runner } from './runner.js';
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
  readonly #runner: Runner<ReceivedMessage>;
  /** A suspect message is running, alone. */
  #isAlone = false;
  #isFilling = false;
  #isFinishing = false;

  constructor(settings: HandlerWorkerSettings) {
    this.#settings = settings;
    const { handler, handlerTimeoutMs, clock, tracer, meter, onFailed, onLeft } = settings;
    this.#runner = new Runner({
      handler,
      handlerTimeoutMs,
      clock,
      onRun: (message) => {
        meter?.begun(message);
        return tracer?.run(message);
      },
      onSucceeded: (message) => message.settle({ kind: 'ack' }),
      onFailed,
      onLeft: (message) => {
        // The suspect message was the only one.
        this.#isAlone = false;
        meter?.ended(message);
        onLeft?.(message);
        this.fill();
      },
    });
  }

  get inFlight(): number {
    return this.#runner.size;
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
    while (!this.#isFinishing && !this.#isAlone && this.#runner.size < concurrency) {
      // Messages that run beside one that ends the process would be redelivered with it, until the server has counted too
      // many deliveries.
      const isSuspect = concurrency > 1 && buffer.next?.isSuspect === true;
      if (isSuspect && this.#runner.size > 0) break;
      const message = buffer.take();
      if (!message) break;
      this.#isAlone = isSuspect;
      this.#begin(message);
    }
  };

  sessionLost(session: Session, reason: Error): void {
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
    this.#runner.abort(reason);
  }

  #begin(message: ReceivedMessage): void {
    this.#runner.add(message);
    const admitted = this.#settings.admit(message);
    if (admitted === true) this.#runner.run(message);
    else if (admitted === false) this.#runner.leave(message);
    else void this.#runner.runOnceValid(message, admitted);
  }
}
