import { Fifo } from '../../util/fifo.js';
import type { ReceivedMessage } from '../delivery/message.js';
import type { Session } from '../session/session.js';

/** The messages of one key: the one whose turn it is, and those behind it. */
interface Lane {
  readonly key: unknown;
  head: ReceivedMessage;
  readonly behind: Fifo<ReceivedMessage>;
}

/**
 * Puts messages into lanes, one per key. The first message of each lane is free to run; the next one follows when that one
 * has left. So a blocked lane blocks no other lane.
 */
export class KeyQueues {
  readonly #keyQueues = new Map<unknown, Lane>();
  readonly #laneOf = new Map<ReceivedMessage, Lane>();
  /** Messages that are free to run, in the order in which they became so. */
  #free = new Fifo<ReceivedMessage>();
  /** Every message that was not taken, in order of arrival. */
  readonly #waiting = new Set<ReceivedMessage>();

  /** How many messages were not taken. */
  get length(): number {
    return this.#waiting.size;
  }

  /** @param key - undefined: the message has no lane, and does not wait for others */
  add(message: ReceivedMessage, key: unknown): void {
    this.#waiting.add(message);
    const lane = key === undefined ? undefined : this.#keyQueues.get(key);
    if (lane) {
      lane.behind.push(message);
      return;
    }
    if (key !== undefined) this.#open({ key, head: message, behind: new Fifo() });
    this.#free.push(message);
  }

  /** The message that {@link take} would return. */
  get next(): ReceivedMessage | undefined {
    return this.#free.first;
  }

  /** The next message that is free to run. It keeps its lane until {@link leave}. */
  take(): ReceivedMessage | undefined {
    const message = this.#free.shift();
    if (message) this.#waiting.delete(message);
    return message;
  }

  /** The message is done: the next one in its lane is free. */
  leave(message: ReceivedMessage): void {
    const lane = this.#laneOf.get(message);
    if (!lane) return;
    this.#laneOf.delete(message);
    const next = lane.behind.shift();
    if (!next) {
      this.#keyQueues.delete(lane.key);
      return;
    }
    lane.head = next;
    this.#laneOf.set(next, lane);
    this.#free.push(next);
  }

  /** Puts the same message back for another run, at the head of its lane. Returns false when it has no lane. */
  again(message: ReceivedMessage, before: ReceivedMessage): boolean {
    const lane = this.#laneOf.get(before);
    if (!lane) return false;
    this.#laneOf.delete(before);
    lane.head = message;
    this.#laneOf.set(message, lane);
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

  #open(lane: Lane): void {
    this.#keyQueues.set(lane.key, lane);
    this.#laneOf.set(lane.head, lane);
  }

  /** Rebuilds everything from the messages that stay. */
  #keep(stays: (message: ReceivedMessage) => boolean): void {
    const free: ReceivedMessage[] = [...this.#free].filter(stays);
    for (const lane of [...this.#keyQueues.values()]) {
      const [head, ...behind] = [lane.head, ...lane.behind].filter(stays);
      this.#laneOf.delete(lane.head);
      this.#keyQueues.delete(lane.key);
      if (!head) continue;
      this.#open({ key: lane.key, head, behind: new Fifo(behind) });
      if (head !== lane.head) free.push(head);
    }
    for (const message of [...this.#waiting]) if (!stays(message)) this.#waiting.delete(message);
    this.#free = new Fifo(free);
  }
}
