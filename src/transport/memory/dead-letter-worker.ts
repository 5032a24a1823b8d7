import type { Clock } from '../../util/clock.js';
import type { QueueDeclaration } from '../port.js';
import { AlarmTimer } from './alarm-timer.js';
import type { DeathReason, Entry } from './message.js';

/** How long a refused dead letter waits before it is sent again: the server's own limit for a confirm. */
const RETRY_MS = 180_000;

/** How many dead letters of one queue are in progress at once. Refused ones keep their places, and all others wait. */
const PLACES = 32;

interface Letter {
  readonly entry: Entry;
  readonly reason: DeathReason;
  /** The queues that have received the dead letter. */
  readonly taken: Set<string>;
  retryAt: number;
}

/**
 * True when the server keeps a queue's dead letters until they are confirmed:
 * https://www.rabbitmq.com/docs/quorum-queues#dead-lettering
 */
export function keepsDeadLetters({ arguments: args }: QueueDeclaration): boolean {
  return (
    args['x-dead-letter-exchange'] !== undefined &&
    args['x-dead-letter-strategy'] === 'at-least-once' &&
    args['x-overflow'] === 'reject-publish'
  );
}

/**
 * Publishes the dead letters of one queue at least once, as RabbitMQ's `rabbit_fifo_dlx_worker` does. 32 refused dead letters
 * stop it, whatever the targets of the others (seen on 3.10, 4.0 and 4.3).
 */
export class DeadLetterWorker {
  readonly #clock: Clock;
  readonly #place: (entry: Entry, reason: DeathReason, taken: Set<string>) => boolean;
  readonly #timer: AlarmTimer;
  #underWay: Letter[] = [];
  #waiting: Letter[] = [];

  /** @param place - routes a dead letter, and adds the queues that receive it; returns false when one of them refuses */
  constructor(clock: Clock, place: (entry: Entry, reason: DeathReason, taken: Set<string>) => boolean) {
    this.#clock = clock;
    this.#place = place;
    this.#timer = new AlarmTimer(clock, () => this.#retry());
  }

  /** The number of dead letters that are not confirmed. */
  get count(): number {
    return this.#underWay.length + this.#waiting.length;
  }

  add(entry: Entry, reason: DeathReason): void {
    this.#waiting.push({ entry, reason, taken: new Set(), retryAt: 0 });
    this.#fill();
  }

  clear(): void {
    this.#underWay = [];
    this.#waiting = [];
    this.#timer.clear();
  }

  #fill(): void {
    while (this.#underWay.length < PLACES) {
      const letter = this.#waiting.shift();
      if (!letter) return;
      this.#send(letter);
    }
  }

  #send(letter: Letter): void {
    // Added before it is sent, because the routing can lead back here.
    this.#underWay.push(letter);
    letter.retryAt = this.#clock.now() + RETRY_MS;
    if (this.#place(letter.entry, letter.reason, letter.taken)) {
      this.#underWay = this.#underWay.filter((it) => it !== letter);
    } else this.#timer.wakeAt(letter.retryAt);
  }

  #retry(): void {
    const now = this.#clock.now();
    const due = this.#underWay.filter(({ retryAt }) => retryAt <= now);
    this.#underWay = this.#underWay.filter(({ retryAt }) => retryAt > now);
    for (const letter of due) this.#send(letter);
    this.#fill();
    const next = Math.min(...this.#underWay.map(({ retryAt }) => retryAt));
    if (next !== Number.POSITIVE_INFINITY) this.#timer.wakeAt(next);
  }
}
