import { createHash } from 'node:crypto';
import type { Clock } from '../../util/clock.js';
import type { ReceivedMessage } from '../delivery/message.js';

/** The pause before a dead letter is published again, doubled each time up to the longest. */
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 60_000;

/** The most given-up messages that are remembered: more than any prefetch. */
const MAX_KNOWN = 10_000;

/** Why a message was given up on, and how often publishing its dead letter has failed. */
interface GivenUp {
  readonly error: unknown;
  readonly failedAt: Date;
  readonly since: number;
  failures: number;
}

/**
 * Messages whose handler must not run again, and whose dead letter is not published yet. They are identified by their content
 * rather than their delivery, because they are redelivered when the channel is lost.
 */
export class GivenUpMessages {
  readonly #clock: Clock;
  readonly #known = new Map<string, GivenUp>();
  #obstacle: string | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Why dead letters cannot be published now. */
  get obstacle(): string | undefined {
    return this.#known.size > 0 ? this.#obstacle : undefined;
  }

  /** Why the message was given up on before; undefined if it was not. */
  errorOf(message: ReceivedMessage): { readonly error: unknown } | undefined {
    return this.#known.size > 0 && message.redelivered ? this.#known.get(keyOf(message)) : undefined;
  }

  /** When the message was given up on, and how long it has been kept since. */
  failedAt(message: ReceivedMessage): { readonly failedAt: Date; readonly keptMs: number } {
    const known = this.#known.get(keyOf(message));
    if (known) return { failedAt: known.failedAt, keptMs: this.#clock.now() - known.since };
    return { failedAt: new Date(this.#clock.wallNow()), keptMs: 0 };
  }

  /** The dead letter could not be published. Returns the pause before the next attempt. */
  notPlaced(message: ReceivedMessage, error: unknown, failedAt: Date, reason: Error): number {
    const key = keyOf(message);
    const known = this.#known.get(key) ?? { error, failedAt, since: this.#clock.now(), failures: 0 };
    const pauseMs = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** known.failures++);
    this.#known.set(key, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    this.#obstacle = reason.message;
    return pauseMs;
  }

  /** The dead letter is published, or the message is requeued for others. */
  forget(message: ReceivedMessage): void {
    if (this.#known.size > 0) this.#known.delete(keyOf(message));
  }
}

/** Tells messages apart across their redeliveries. */
export function keyOf({ id, delivery, timestamp }: ReceivedMessage): string {
  const print = createHash('sha256').update(delivery.content).digest('base64');
  return `${print}:${timestamp?.getTime() ?? ''}:${id ?? ''}`;
}
