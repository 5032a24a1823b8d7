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
 * Puts messages into lanes, one for each key. The first message of each lane is free to run; the next one follows when that
 * has left. So a lane that is held up holds up nobody else.
 */
export class KeyQueues {
  readonly #keyQueues = new Map<unknown, Lane>();
  readonly #laneOf = new Map<ReceivedMessage, Lane>();
  /** Free to run, in the order in which they became so. */
  #free = new Fifo<ReceivedMessage>();
  /** Every message that was not taken, in order of arrival. */
  readonly #waiting = new Set<ReceivedMessage>();

  /** Messages that nobody has taken. */
  get length(): number {
    return this.#waiting.size;
  }

  /** @param key - undefined: it has no lane, and waits for nobody */
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

  /** The one that {@link take} would take. */
  get next(): ReceivedMessage | undefined {
    return this.#free.first;
  }

  /** The next one that is free to run. It keeps its lane until {@link leave}. */
  take(): ReceivedMessage | undefined {
    const message = this.#free.shift();
    if (message) this.#waiting.delete(message);
    return message;
  }

  /** It is done: the next one of its lane is free. */
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

  /** The same message for another run, before everything else of its lane. False when it has no lane. */
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

  /** Forgets the messages of a session that is lost, those that were taken too. */
  dropSession(session: Session): void {
    this.#keep((message) => message.session !== session);
  }

  /** Forgets the messages that nobody has taken, in order of arrival, for somebody else to take. */
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

  /** Builds everything again from what stays. */
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
