import { tableIn } from '../../messages/properties.js';
import type { StreamOffset } from '../options/stream-offset.js';

/** The session of a consumer that reads a stream. */
type Reader = object;

/**
 * The state of an offset: in progress (by a reader), handled but not yet contiguous, or missing (it must be delivered again).
 */
type Fate = Reader | 'handled' | 'missing';

/**
 * The position of a consumer in its stream. The server keeps no position for it: after a reconnect the consumer begins again at
 * the first unhandled message. Handled messages behind that one are skipped when they are delivered again.
 *
 * It remembers no more than the messages from the first unhandled one to the last delivered one. Acknowledgements are sent in
 * order only, so there are never more of these than the prefetch (before 4.0, plus the rest of one stored block).
 */
export class StreamPosition {
  readonly #begin: StreamOffset;
  readonly #wallNow: () => number;
  /** By offset, ascending. The first one is not handled. Offsets may have gaps: the server uses some itself. */
  readonly #fates = new Map<number, Fate>();
  /** The failed runs of each unhandled message, by offset. */
  readonly #runs = new Map<number, number>();
  /** Everything below is handled; undefined before the first delivery. */
  #next: number | undefined;
  /** Milliseconds since 1970, when the consumer first consumed. */
  #since: number | undefined;
  #isFirstOfSession = true;

  /** @param wallNow - the time of day, in milliseconds since 1970 */
  constructor(begin: StreamOffset, wallNow: () => number) {
    this.#begin = begin;
    this.#wallNow = wallNow;
  }

  /** The value of the argument `x-stream-offset`. */
  get argument(): unknown {
    const from = this.#from;
    // amqplib's form of a timestamp, which is in seconds.
    return from instanceof Date ? { '!': 'timestamp', value: Math.floor(from.getTime() / 1_000) } : from;
  }

  /** The number of messages that it remembers. */
  get size(): number {
    return this.#fates.size;
  }

  get #from(): StreamOffset {
    if (this.#next !== undefined) return this.#next;
    // `'next'` referred to the time of the first start: messages sent since must not be skipped.
    return this.#begin === 'next' && this.#since !== undefined ? new Date(this.#since) : this.#begin;
  }

  /** The consumer consumes, from now on or again. */
  begun(): void {
    this.#since ??= this.#wallNow();
    this.#isFirstOfSession = true;
  }

  /** Records a delivery. Returns false when the message was handled, or is in progress for the same reader. */
  delivered(offset: number, reader: Reader): boolean {
    if (this.#isFirstOfSession) this.#skipTo(offset);
    this.#next ??= offset;
    const fate = this.#fates.get(offset);
    if (offset < this.#next || fate === 'handled' || fate === reader) return false;
    this.#fates.set(offset, reader);
    return true;
  }

  /** The message is handled, perhaps after its reader was lost. */
  handled(offset: number, reader: Reader): void {
    const fate = this.#fates.get(offset);
    if (fate !== reader && fate !== 'missing') return;
    this.#fates.set(offset, 'handled');
    this.#runs.delete(offset);
    this.#trim();
  }

  /** The handler has failed, and will run again. */
  failed(offset: number): void {
    if (this.#fates.has(offset)) this.#runs.set(offset, this.runsOf(offset) + 1);
  }

  runsOf(offset: number): number {
    return this.#runs.get(offset) ?? 0;
  }

  /** The message is no longer in progress and must be delivered again. */
  missed(offset: number, reader: Reader): void {
    if (this.#fates.get(offset) === reader) this.#fates.set(offset, 'missing');
  }

  /** The stream is gone. Everything in the next stream of its name is new. */
  restart(): void {
    this.#fates.clear();
    this.#runs.clear();
    this.#next = 0;
  }

  /** The deliveries of a reader are lost. */
  lost(reader: Reader): void {
    for (const [offset, fate] of this.#fates) if (fate === reader) this.#fates.set(offset, 'missing');
  }

  /** Messages missing below the first delivered one are not in the stream any more. */
  #skipTo(offset: number): void {
    this.#isFirstOfSession = false;
    for (const [missing, fate] of this.#fates) {
      if (missing >= offset) break;
      if (fate !== 'missing') continue;
      this.#fates.set(missing, 'handled');
      this.#runs.delete(missing);
    }
    this.#trim();
  }

  #trim(): void {
    for (const [offset, fate] of this.#fates) {
      if (fate !== 'handled') {
        this.#next = offset;
        return;
      }
      this.#fates.delete(offset);
      this.#next = offset + 1;
    }
  }
}

/** The offset of a message of a stream; undefined for one of another queue. */
export function offsetIn(headers: unknown): number | undefined {
  const offset = tableIn(headers)['x-stream-offset'];
  return typeof offset === 'number' ? offset : undefined;
}
