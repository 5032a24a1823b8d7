import type { Entry } from './message.js';

/** A consumer of one queue, as the queue sees it. */
export interface QueueConsumer {
  readonly tag: string;
  readonly priority: number;
  readonly isExclusive: boolean;
  readonly noAck: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** Whether it takes another message now. */
  hasRoom(): boolean;
  deliver(entry: Entry): void;
  /** Takes one message more at a time from now on. */
  gainRoom(): void;
  /** The server takes the queue away from it. */
  cancelled(): void;
}

/** The consumers of a queue, and whose turn it is: the highest priority first, those of one priority in turn. */
export class Consumers {
  readonly #isSingle: boolean;
  readonly #yields: boolean;
  /** By priority, the highest first; of those, the one that has waited longest. */
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

  /** False when it was none of them. */
  remove(consumer: QueueConsumer): boolean {
    const at = this.#waiting.indexOf(consumer);
    if (at < 0) return false;
    this.#waiting.splice(at, 1);
    if (this.#active === consumer) this.#active = this.#waiting[0];
    return true;
  }

  /** Whose turn it is, among those that have room. It goes to the end of the line. */
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

  /** Whether any of them would take a message now. */
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
