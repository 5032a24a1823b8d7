import type { Entry } from './message.js';

/** A consumer of one queue, as the queue sees it. */
export interface QueueConsumer {
  readonly tag: string;
  readonly priority: number;
  readonly isExclusive: boolean;
  readonly noAck: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** True if the consumer has room for another message. */
  hasRoom(): boolean;
  deliver(entry: Entry): void;
  /** Raises the consumer's prefetch by one. */
  gainRoom(): void;
  /** The server cancels the consumer. */
  cancelled(): void;
}

/** The consumers of a queue, and whose turn it is: the highest priority first, and round-robin within a priority. */
export class Consumers {
  readonly #isSingle: boolean;
  readonly #yields: boolean;
  /** By priority, the highest first; within a priority, the consumer that has waited longest first. */
  readonly #waiting: QueueConsumer[] = [];
  #active: QueueConsumer | undefined;

  /** @param yields - the single active consumer gives way to one of a higher priority */
  constructor(isSingle: boolean, yields: boolean) {
    this.#isSingle = isSingle;
    this.#yields = yields;
  }

  get size(): number {
    return this.#waiting.length;
  }

  get hasExclusive(): boolean {
    return this.#waiting.some((consumer) => consumer.isExclusive);
  }

  [Symbol.iterator](): Iterator<QueueConsumer> {
    return [...this.#waiting][Symbol.iterator]();
  }

  add(consumer: QueueConsumer): void {
    this.#insert(consumer);
    if (!this.#active || (this.#yields && consumer.priority > this.#active.priority)) this.#active = consumer;
  }

  /** Returns false for an unknown consumer. */
  remove(consumer: QueueConsumer): boolean {
    const at = this.#waiting.indexOf(consumer);
    if (at < 0) return false;
    this.#waiting.splice(at, 1);
    if (this.#active === consumer) this.#active = this.#waiting[0];
    return true;
  }

  /** Returns the next consumer with room, and puts it at the end of the line. */
  next(): QueueConsumer | undefined {
    if (this.#isSingle) return this.#active?.hasRoom() ? this.#active : undefined;
    const at = this.#waiting.findIndex((consumer) => consumer.hasRoom());
    if (at < 0) return undefined;
    const consumer = this.#waiting[at] as QueueConsumer;
    if (this.#waiting.length > 1) {
      this.#waiting.splice(at, 1);
      this.#insert(consumer);
    }
    return consumer;
  }

  /** True if any consumer has room. */
  get hasRoom(): boolean {
    if (this.#isSingle) return this.#active?.hasRoom() ?? false;
    return this.#waiting.some((consumer) => consumer.hasRoom());
  }

  #insert(consumer: QueueConsumer): void {
    let at = this.#waiting.length;
    while (at > 0 && (this.#waiting[at - 1] as QueueConsumer).priority < consumer.priority) at--;
    this.#waiting.splice(at, 0, consumer);
  }
}
