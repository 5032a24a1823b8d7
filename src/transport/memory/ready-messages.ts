import { Fifo } from '../../util/fifo.js';
import type { Entry } from './message.js';
import type { Behaviour } from './version.js';

/** The ready messages of a queue, in the order in which its type of queue delivers them. */
export interface Ready {
  readonly length: number;
  push(entry: Entry): void;
  /** Requeues a message; `isLost`: because its channel is gone. */
  putBack(entry: Entry, isLost: boolean): void;
  /** The next message. */
  peek(): Entry | undefined;
  shift(): Entry | undefined;
  /** The next message of each priority. The server looks for expired messages among these. */
  heads(): Iterable<Entry>;
  /** Removes one of the heads. */
  shiftHead(entry: Entry): void;
}

interface Level {
  readonly back: Fifo<Entry>;
  readonly fresh: Fifo<Entry>;
}

/** Classic queues requeue a message at its original place within its priority. */
export class ClassicReady implements Ready {
  readonly #levels: Level[];
  length = 0;

  constructor(maxPriority: number) {
    this.#levels = Array.from({ length: maxPriority + 1 }, () => ({ back: new Fifo(), fresh: new Fifo() }));
  }

  push(entry: Entry): void {
    this.#level(entry).fresh.push(entry);
    this.length++;
  }

  putBack(entry: Entry): void {
    this.#level(entry).back.insert(entry, (other) => other.sequence > entry.sequence);
    this.length++;
  }

  peek(): Entry | undefined {
    for (let at = this.#levels.length - 1; at >= 0; at--) {
      const { back, fresh } = this.#levels[at] as Level;
      const entry = back.first ?? fresh.first;
      if (entry) return entry;
    }
    return undefined;
  }

  shift(): Entry | undefined {
    const entry = this.peek();
    if (entry) this.shiftHead(entry);
    return entry;
  }

  /** Only the head of the highest priority: the server does not look at those behind it (rabbit_priority_queue:dropwhile). */
  *heads(): Iterable<Entry> {
    const head = this.peek();
    if (head) yield head;
  }

  shiftHead(entry: Entry): void {
    const { back, fresh } = this.#level(entry);
    (back.length > 0 ? back : fresh).shift();
    this.length--;
  }

  #level({ priority = 0 }: Entry) {
    return this.#levels[Math.min(priority, this.#levels.length - 1)] as Level;
  }
}

/** The priority of a message without one in 4.3. */
const DEFAULT_PRIORITY = 4;

/** Quorum queues deliver requeued messages before all others, in the order in which they were requeued. */
export class QuorumReady implements Ready {
  readonly #behaviour: Behaviour;
  readonly #requeueAtEnd: boolean;
  readonly #back = new Fifo<Entry>();
  readonly #levels: Fifo<Entry>[];
  /** 4.0 delivers every third message from the lower class, if there is one. */
  #turn = 0;
  length = 0;

  constructor(behaviour: Behaviour, hasLimit: boolean) {
    this.#behaviour = behaviour;
    this.#requeueAtEnd = behaviour.requeueAtEnd && !hasLimit;
    const levels = { none: 1, two: 2, strict: 32 }[behaviour.quorumPriorities];
    this.#levels = Array.from({ length: levels }, () => new Fifo<Entry>());
  }

  push(entry: Entry): void {
    this.#level(entry).push(entry);
    this.length++;
  }

  putBack(entry: Entry, isLost: boolean): void {
    (this.#requeueAtEnd && !isLost ? this.#level(entry) : this.#back).push(entry);
    this.length++;
  }

  peek(): Entry | undefined {
    return this.#next()?.first;
  }

  shift(): Entry | undefined {
    const next = this.#next();
    if (!next) return undefined;
    if (next !== this.#back) this.#turn = (this.#turn + 1) % 3;
    this.length--;
    return next.shift();
  }

  *heads(): Iterable<Entry> {
    const next = this.#next()?.first;
    if (next) yield next;
    // 4.3 checks each priority separately.
    if (this.#behaviour.quorumPriorities !== 'strict') return;
    for (const { first } of this.#levels) if (first && first !== next) yield first;
  }

  shiftHead(entry: Entry): void {
    const level = this.#level(entry);
    if (this.peek() === entry) this.shift();
    else if (level.first === entry) {
      level.shift();
      this.length--;
    }
  }

  #next(): Fifo<Entry> | undefined {
    if (this.#back.length > 0) return this.#back;
    const lowest = this.#levels[0] as Fifo<Entry>;
    if (this.#behaviour.quorumPriorities === 'two' && this.#turn === 2 && lowest.length > 0) return lowest;
    for (let at = this.#levels.length - 1; at >= 0; at--) {
      const level = this.#levels[at] as Fifo<Entry>;
      if (level.length > 0) return level;
    }
    return undefined;
  }

  #level({ priority = DEFAULT_PRIORITY }: Entry): Fifo<Entry> {
    const { quorumPriorities } = this.#behaviour;
    const at =
      quorumPriorities === 'none'
        ? 0
        : quorumPriorities === 'two'
          ? Number(priority > 4)
          : Math.min(priority, 31);
    return this.#levels[at] as Fifo<Entry>;
  }
}
