import { Fifo } from '../../util/fifo.js';
import type { ReceivedMessage } from '../delivery/message.js';
import type { Session } from '../session/session.js';

/** The messages of one key: the one whose turn it is, and those behind it. */
interface KeyQueue {
  readonly key: unknown;
  head: ReceivedMessage;
  readonly behind: Fifo<ReceivedMessage>;
}

/**
 * Queues of messages, one per key. The first message of each queue is free to run; the next one follows when that one has
 * left. So a blocked queue blocks no other queue.
 */
export class KeyQueues {
  readonly #keyQueues = new Map<unknown, KeyQueue>();
  readonly #queueOf = new Map<ReceivedMessage, KeyQueue>();
  /** Messages that are free to run, in the order in which they became so. */
  #free = new Fifo<ReceivedMessage>();
  /** Every message that was not taken, in order of arrival. */
  readonly #waiting = new Set<ReceivedMessage>();

  /** The number of messages that were not taken. */
  get length(): number {
    return this.#waiting.size;
  }

  /** @param key - undefined: the message has no key, and does not wait for others */
  add(message: ReceivedMessage, key: unknown): void {
    this.#waiting.add(message);
    const queue = key === undefined ? undefined : this.#keyQueues.get(key);
    if (queue) {
      queue.behind.push(message);
      return;
    }
    if (key !== undefined) this.#open({ key, head: message, behind: new Fifo() });
    this.#free.push(message);
  }

  /** The message that {@link take} would return. */
  get next(): ReceivedMessage | undefined {
    return this.#free.first;
  }

  /** The next message that is free to run. The others of its key wait until it {@link leave}s. */
  take(): ReceivedMessage | undefined {
    const message = this.#free.shift();
    if (message) this.#waiting.delete(message);
    return message;
  }

  /** The message is done: the next one of its key is free. */
  leave(message: ReceivedMessage): void {
    const queue = this.#queueOf.get(message);
    if (!queue) return;
    this.#queueOf.delete(message);
    const next = queue.behind.shift();
    if (!next) {
      this.#keyQueues.delete(queue.key);
      return;
    }
    queue.head = next;
    this.#queueOf.set(next, queue);
    this.#free.push(next);
  }

  /** Puts the same message back for another run, at the head of its queue. Returns false when it is in no queue. */
  again(message: ReceivedMessage, before: ReceivedMessage): boolean {
    const queue = this.#queueOf.get(before);
    if (!queue) return false;
    this.#queueOf.delete(before);
    queue.head = message;
    this.#queueOf.set(message, queue);
    this.#waiting.add(message);
    this.#free.push(message);
    return true;
  }

  /** Discards the messages of a session that is lost, including those that were taken. */
  dropSession(session: Session): void {
    this.#keep((message) => message.session !== session);
  }

  /** Removes the messages that were not taken and returns them in order of arrival, to be taken elsewhere. */
  drain(): ReceivedMessage[] {
    // A message for another run is older than those that came behind it.
    const drained = [...this.#waiting].sort((a, b) => a.delivery.deliveryTag - b.delivery.deliveryTag);
    this.#keep((message) => !this.#waiting.has(message));
    return drained;
  }

  #open(queue: KeyQueue): void {
    this.#keyQueues.set(queue.key, queue);
    this.#queueOf.set(queue.head, queue);
  }

  /** Rebuilds everything from the messages that stay. */
  #keep(stays: (message: ReceivedMessage) => boolean): void {
    const free: ReceivedMessage[] = [...this.#free].filter(stays);
    for (const queue of [...this.#keyQueues.values()]) {
      const [head, ...behind] = [queue.head, ...queue.behind].filter(stays);
      this.#queueOf.delete(queue.head);
      this.#keyQueues.delete(queue.key);
      if (!head) continue;
      this.#open({ key: queue.key, head, behind: new Fifo(behind) });
      if (head !== queue.head) free.push(head);
    }
    for (const message of [...this.#waiting]) if (!stays(message)) this.#waiting.delete(message);
    this.#free = new Fifo(free);
  }
}
