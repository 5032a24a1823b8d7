import type { Message, ReceivedMessage } from '../delivery/message.js';
import type { PrefetchBuffer } from '../delivery/prefetch-buffer.js';
import type { Session } from '../session/session.js';
import { HandlerWorker, type HandlerWorkerSettings } from './handler-worker.js';
import { InOrderValidation } from './in-order-validation.js';
import { KeyQueues } from './key-queues.js';
import { orderKeyOf } from './order-key.js';
import type { Worker } from './worker.js';

export interface OrderedWorkerSettings extends Omit<HandlerWorkerSettings, 'buffer' | 'onLeft'> {
  readonly buffer: PrefetchBuffer;
  /** Messages with the same key run one after the other; those without a key, `undefined`, at any time. */
  readonly orderBy: (message: Message) => unknown;
  /** The most messages that are taken ahead of their turn. */
  readonly lookAhead: number;
  /** Whether a message waits for another run: then the other messages of its key wait, too. */
  readonly isWaiting: (message: ReceivedMessage) => boolean;
}

/**
 * Runs the handler on many keys at once, and on one message per key at a time, in order. It takes messages ahead, so that
 * those of a busy key do not keep a free place from the others.
 */
export class OrderedWorker implements Worker {
  readonly #settings: OrderedWorkerSettings;
  readonly #inOrderValidation: InOrderValidation;
  readonly #keyQueues = new KeyQueues();
  readonly #handlers: HandlerWorker;
  /** Messages that have their body: they need not be decoded again. */
  readonly #admitted = new WeakSet<ReceivedMessage>();
  /** The runs in progress, each with the run that should follow it at once, if any. */
  readonly #runs = new Map<ReceivedMessage, ReceivedMessage | undefined>();
  #isFinishing = false;

  constructor(settings: OrderedWorkerSettings) {
    this.#settings = settings;
    const { admit, clock, handlerTimeoutMs, isWaiting, onFailed } = settings;
    this.#inOrderValidation = new InOrderValidation({
      clock,
      admit,
      timeoutMs: handlerTimeoutMs,
      onAdmitted: (message) => this.#place(message),
      onFailed,
    });
    const keyQueues = this.#keyQueues;
    this.#handlers = new HandlerWorker({
      ...settings,
      buffer: {
        take: () => this.#take(),
        get next() {
          return keyQueues.next;
        },
      },
      admit: (message) => this.#admitted.has(message) || admit(message),
      onLeft: (message) => {
        const next = this.#runs.get(message);
        this.#runs.delete(message);
        if (next) this.runAgain(next, message);
        else if (!isWaiting(message)) this.#keyQueues.leave(message);
        // The message that has left may have made room to look further ahead.
        this.#lookAhead();
      },
    });
  }

  get inFlight(): number {
    return this.#handlers.inFlight;
  }

  get waiting(): number {
    return this.#keyQueues.length + this.#inOrderValidation.length;
  }

  fill(): void {
    this.#lookAhead();
    this.#handlers.fill();
  }

  runAgain(message: ReceivedMessage, failed: ReceivedMessage): void {
    // A handler that has asked for another run may still be running.
    if (this.#runs.has(failed)) {
      this.#runs.set(failed, message);
      return;
    }
    if (!this.#keyQueues.again(message, failed)) this.#inOrderValidation.add(message);
    this.#handlers.fill();
  }

  drain(): ReceivedMessage[] {
    return [...this.#keyQueues.drain(), ...this.#inOrderValidation.drain()];
  }

  sessionLost(session: Session, reason: Error): void {
    this.#inOrderValidation.dropSession(session);
    this.#keyQueues.dropSession(session);
    this.#handlers.sessionLost(session, reason);
  }

  idle(): Promise<void> {
    return this.#handlers.idle();
  }

  finish(): Promise<void> {
    this.#isFinishing = true;
    return this.#handlers.finish();
  }

  abort(reason: Error): void {
    this.#isFinishing = true;
    this.#inOrderValidation.clear();
    this.#handlers.abort(reason);
  }

  #take(): ReceivedMessage | undefined {
    const message = this.#keyQueues.take();
    if (message) this.#runs.set(message, undefined);
    return message;
  }

  #lookAhead(): void {
    const { buffer, lookAhead } = this.#settings;
    while (!this.#isFinishing && this.waiting < lookAhead) {
      const message = buffer.take();
      if (!message) break;
      this.#inOrderValidation.add(message);
    }
  }

  #place(message: ReceivedMessage): void {
    this.#admitted.add(message);
    let key: unknown;
    try {
      key = orderKeyOf(this.#settings.orderBy(message));
    } catch (error) {
      this.#settings.onFailed(message, error);
      return;
    }
    this.#keyQueues.add(message, key);
    this.#handlers.fill();
  }
}
