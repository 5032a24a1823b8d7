import type { Clock, Timer } from '../../util/clock.js';
import type { ReceivedMessage } from '../delivery/message.js';

type OnDue = (message: ReceivedMessage) => void;

/** Messages that wait in this process, unacknowledged, each for its own time. */
export class WaitingMessages {
  readonly #clock: Clock;
  readonly #waiting = new Map<ReceivedMessage, { readonly timer: Timer; readonly onDue: OnDue }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  has(message: ReceivedMessage): boolean {
    return this.#waiting.has(message);
  }

  add(message: ReceivedMessage, ms: number, onDue: OnDue): void {
    const due = () => {
      this.#waiting.delete(message);
      onDue(message);
    };
    this.#waiting.set(message, { timer: this.#clock.setTimeout(due, ms), onDue });
  }

  /** Removes messages before their time, and returns them. */
  discard(matches: (message: ReceivedMessage) => boolean): readonly ReceivedMessage[] {
    const discarded: ReceivedMessage[] = [];
    for (const [message, { timer }] of this.#waiting) {
      if (!matches(message)) continue;
      this.#clock.clearTimeout(timer);
      this.#waiting.delete(message);
      discarded.push(message);
    }
    return discarded;
  }

  /** Removes every message before its time. Returns each with what should happen when its time comes. */
  drain(): readonly (readonly [ReceivedMessage, OnDue])[] {
    const drained = [...this.#waiting].map(([message, { onDue }]) => [message, onDue] as const);
    this.discard(() => true);
    return drained;
  }
}
