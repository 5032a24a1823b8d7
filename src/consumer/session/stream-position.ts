import type { StreamOffset } from '../options/stream-offset.js';

/** What delivers a stream: one session of a consumer. */
type Reader = object;

/** At work, in the hands of a reader; handled, but behind one that is not; or given back, so that it has to come again. */
type Fate = Reader | 'handled' | 'missing';

/**
 * How far a consumer has got in its stream. The server keeps no place for it: after a reconnect it begins again where this
 * says, at the first message that is not handled. Those behind it that are, and come again, are skipped.
 *
 * It remembers no more than the messages from the first unhandled one to the last delivered one. Acknowledgements are sent in
 * order only, so that these are never more than the prefetch (before 4.0, and the rest of one block that the server has stored).
 */
export class StreamPosition {
  readonly #begin: StreamOffset;
  readonly #wallNow: () => number;
  /** By offset, ascending. The first one is not handled. Offsets may have gaps: the server uses some itself. */
  readonly #fates = new Map<number, Fate>();
  /** How often a message that is not handled has failed. */
  readonly #runs = new Map<number, number>();
  /** Everything below is handled; undefined before the first delivery. */
  #next: number | undefined;
  /** Milliseconds since 1970, when it first consumed. */
  #since: number | undefined;
  #isFirstOfSession = true;

  /** @param wallNow - the time of day, in milliseconds since 1970 */
  constructor(begin: StreamOffset, wallNow: () => number) {
    this.#begin = begin;
    this.#wallNow = wallNow;
  }

  /** What to ask the server for, as the argument `x-stream-offset`. */
  get argument(): unknown {
    const from = this.#from;
    // As amqplib writes a timestamp, which is in seconds.
    return from instanceof Date ? { '!': 'timestamp', value: Math.floor(from.getTime() / 1_000) } : from;
  }

  /** Messages that it remembers. */
  get size(): number {
    return this.#fates.size;
  }

  get #from(): StreamOffset {
    if (this.#next !== undefined) return this.#next;
    // The next one was the next one then: what was sent since must not be skipped.
    return this.#begin === 'next' && this.#since !== undefined ? new Date(this.#since) : this.#begin;
  }

  /** It consumes, from now on or again. */
  begun(): void {
    this.#since ??= this.#wallNow();
    this.#isFirstOfSession = true;
  }

  /** A message has come. False when it was handled, or is at work for the same reader. */
  delivered(offset: number, reader: Reader): boolean {
    if (this.#isFirstOfSession) this.#skipTo(offset);
    this.#next ??= offset;
    const fate = this.#fates.get(offset);
    if (offset < this.#next || fate === 'handled' || fate === reader) return false;
    this.#fates.set(offset, reader);
    return true;
  }

  /** Its work is done, perhaps after the reader was lost. */
  handled(offset: number, reader: Reader): void {
    const fate = this.#fates.get(offset);
    if (fate !== reader && fate !== 'missing') return;
    this.#fates.set(offset, 'handled');
    this.#runs.delete(offset);
    this.#trim();
  }

  /** A run of its handler has failed; it is to run again. */
  failed(offset: number): void {
    if (this.#fates.has(offset)) this.#runs.set(offset, this.runsOf(offset) + 1);
  }

  runsOf(offset: number): number {
    return this.#runs.get(offset) ?? 0;
  }

  /** It is not at work any more and has to come again. */
  missed(offset: number, reader: Reader): void {
    if (this.#fates.get(offset) === reader) this.#fates.set(offset, 'missing');
  }

  /** The stream is gone. Everything in the next one of its name is new. */
  restart(): void {
    this.#fates.clear();
    this.#runs.clear();
    this.#next = 0;
  }

  /** The deliveries of a reader are lost. */
  lost(reader: Reader): void {
    for (const [offset, fate] of this.#fates) if (fate === reader) this.#fates.set(offset, 'missing');
  }

  /** What is missing below the first message that comes is not in the stream any more. */
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
  const offset = (headers as Readonly<Record<string, unknown>> | null | undefined)?.['x-stream-offset'];
  return typeof offset === 'number' ? offset : undefined;
}
