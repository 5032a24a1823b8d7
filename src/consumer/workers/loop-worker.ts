import type { ConsumerTracer } from '../../diagnostics/consume.js';
import { Condition } from '../../util/condition.js';
import { type Deferred, deferred } from '../../util/promises.js';
import type { Message, ReceivedMessage } from '../delivery/message.js';
import type { PrefetchBuffer } from '../delivery/prefetch-buffer.js';
import type { Session } from '../session/session.js';
import type { Meter, Worker } from './worker.js';

export interface LoopWorkerSettings {
  readonly buffer: PrefetchBuffer;
  /** Decodes and validates; false when the message is already settled. */
  readonly admit: (message: ReceivedMessage) => boolean | Promise<boolean>;
  readonly tracer?: ConsumerTracer | undefined;
  /** Measures how long loops work on a message. */
  readonly meter?: Meter | undefined;
  /** A loop begins, after there was none. */
  readonly onFirst: () => void;
  /**
   * The last loop was left: stops deliveries, and then requeues the current message, so that it is not delivered here again.
   */
  readonly onLast: (giveBack: () => void) => Promise<void>;
}

/** Hands messages to `for await` loops, each to one of them. */
export class LoopWorker implements Worker {
  readonly #settings: LoopWorkerSettings;
  readonly #loops = new Set<Loop>();
  /** Calls of `next` that are waiting for a message. */
  #waiting: { readonly loop: Loop; readonly result: Deferred<ReceivedMessage | undefined> }[] = [];
  /** Resolves when no loop is left. */
  readonly #allLeft = new Condition();
  /** Resolves when no loop has a current message. */
  readonly #idle = new Condition();
  #end: { readonly error: Error | undefined } | undefined;
  #isFilling = false;
  /** Messages whose schema is still running. */
  readonly #admitting = new Set<ReceivedMessage>();

  constructor(settings: LoopWorkerSettings) {
    this.#settings = settings;
  }

  get inFlight(): number {
    let count = this.#admitting.size;
    for (const loop of this.#loops) count += loop.inHand.length;
    return count;
  }

  /** A new loop. */
  iterate(): AsyncIterableIterator<Message> {
    const loop: Loop = { inHand: [] };
    let isDone = false;
    const leave = async () => {
      if (isDone) return;
      isDone = true;
      for (const waiting of this.#waiting) if (waiting.loop === loop) waiting.result.resolve(undefined);
      this.#waiting = this.#waiting.filter((waiting) => waiting.loop !== loop);
      const giveBack = () => {
        // The loop was left with a current message: whether that was handled is unknown.
        for (const message of loop.inHand.splice(0)) {
          this.#settings.meter?.ended(message);
          message.settle({ kind: 'reject' });
        }
      };
      const isLast = this.#loops.delete(loop) && this.#loops.size === 0;
      if (isLast && !this.#end) await this.#settings.onLast(giveBack);
      else giveBack();
      if (isLast) this.#allLeft.notify();
      this.#checkIdle();
    };
    const wait = async (): Promise<IteratorResult<Message>> => {
      const message = isDone ? undefined : await this.#wait(loop);
      if (message) return { done: false, value: message };
      const { error } = this.#end ?? {};
      await leave();
      if (error) throw error;
      return { done: true, value: undefined };
    };
    const iterator: AsyncIterableIterator<Message> = {
      // Not an async function: mostly a message is here, and costs one promise.
      next: () => {
        if (isDone) return Promise.resolve({ done: true, value: undefined });
        if (!this.#end && !this.#loops.has(loop)) this.#begin(loop);
        this.#settle(loop);
        const message = this.#takeReady(loop);
        return message ? Promise.resolve({ done: false, value: message }) : wait();
      },
      return: async (value?: unknown) => {
        await leave();
        return { done: true, value };
      },
      throw: async (error: unknown) => {
        await leave();
        throw error;
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  fill(): void {
    if (this.#isFilling) return;
    this.#isFilling = true;
    const { buffer } = this.#settings;
    while (this.#waiting.length > this.#admitting.size) {
      const message = buffer.take();
      if (!message) break;
      this.#offer(message);
    }
    this.#isFilling = false;
  }

  sessionLost(session: Session, reason: Error): void {
    // An asynchronous schema may never settle.
    for (const message of this.#admitting) if (message.session === session) this.#admitting.delete(message);
    this.#checkIdle();
    for (const { inHand } of this.#loops) {
      for (const message of inHand) if (message.session === session) abandon(message, reason);
    }
  }

  async idle(): Promise<void> {
    if (this.inFlight > 0) await this.#idle.wait();
  }

  /** Ends the loops when they ask for their next message. */
  async finish(error?: Error): Promise<void> {
    this.#end ??= { error };
    for (const { result } of this.#waiting.splice(0)) result.resolve(undefined);
    if (this.#loops.size > 0) await this.#allLeft.wait();
  }

  abort(reason: Error): void {
    this.#end ??= { error: undefined };
    for (const { result } of this.#waiting.splice(0)) result.resolve(undefined);
    for (const { inHand } of this.#loops) {
      for (const message of inHand) abandon(message, reason);
    }
    this.#loops.clear();
    this.#admitting.clear();
    this.#allLeft.notify();
    this.#checkIdle();
  }

  #begin(loop: Loop): void {
    this.#loops.add(loop);
    if (this.#loops.size === 1) this.#settings.onFirst();
  }

  #settle(loop: Loop): void {
    for (const message of loop.inHand.splice(0)) {
      message.settle({ kind: 'ack' });
      this.#settings.meter?.ended(message);
    }
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (this.#idle.isAwaited && this.inFlight === 0) this.#idle.notify();
  }

  /** The next message, if one is here, its schema answers at once, and no other loop has waited longer. */
  #takeReady(loop: Loop): ReceivedMessage | undefined {
    const { buffer, admit } = this.#settings;
    // A listener can leave the loop while a message is refused.
    while (this.#loops.has(loop) && !this.#end && this.#waiting.length === 0 && this.#admitting.size === 0) {
      const message = buffer.take();
      if (!message) return undefined;
      const admitted = admit(message);
      if (admitted === true) {
        this.#handTo(loop, message);
        return message;
      }
      if (admitted !== false) this.#admitLater(message, admitted);
    }
    return undefined;
  }

  async #wait(loop: Loop): Promise<ReceivedMessage | undefined> {
    if (this.#end) return undefined;
    const result = deferred<ReceivedMessage | undefined>();
    this.#waiting.push({ loop, result });
    this.fill();
    return result.promise;
  }

  #offer(message: ReceivedMessage): void {
    const admitted = this.#settings.admit(message);
    if (admitted === true) this.#hand(message);
    else if (admitted !== false) this.#admitLater(message, admitted);
  }

  #admitLater(message: ReceivedMessage, admitted: Promise<boolean>): void {
    this.#admitting.add(message);
    void admitted.then((isValid) => {
      // If its session was lost meanwhile, the message is redelivered.
      if (this.#admitting.delete(message) && isValid && message.session.isLive) this.#hand(message);
      this.fill();
      this.#checkIdle();
    });
  }

  /** Hands the message to the loop that has waited longest, or requeues it when none waits any more. */
  #hand(message: ReceivedMessage): void {
    const next = this.#waiting.shift();
    if (!next) {
      message.session.requeueUnseen(message.delivery.deliveryTag);
      return;
    }
    this.#handTo(next.loop, message);
    next.result.resolve(message);
  }

  #handTo(loop: Loop, message: ReceivedMessage): void {
    loop.inHand.push(message);
    const run = this.#settings.tracer?.run(message, true);
    message.loopRun = run;
    // The body of the loop is not called from here, so no context can be bound to it.
    run?.run(() => {});
    this.#settings.meter?.begun(message);
  }
}

interface Loop {
  /** The message in the loop's body; several when `next` was called again before it had resolved. */
  readonly inHand: ReceivedMessage[];
}

function abandon(message: ReceivedMessage, reason: Error): void {
  message.loopRun?.fail(reason);
  message.abort(reason);
}
