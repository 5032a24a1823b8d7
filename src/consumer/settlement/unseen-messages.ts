import type { ReceivedMessage } from '../delivery/message.js';
import { keyOf } from './given-up.js';

/** The most messages that are remembered: more than any prefetch. */
const MAX_KNOWN = 10_000;

/**
 * Messages that were lost with their channel before a handler saw them, while they waited for their last attempt. They come
 * back like messages whose last attempt was interrupted: the server does not tell the difference.
 */
export class UnseenMessages {
  /** The attempt of each message, by its key. */
  readonly #attempts = new Map<string, number>();

  /** Remembers a message that is lost with its channel. */
  add(message: ReceivedMessage): void {
    this.#attempts.set(keyOf(message), message.attempt);
    const [oldest] = this.#attempts.keys();
    if (this.#attempts.size > MAX_KNOWN && oldest !== undefined) this.#attempts.delete(oldest);
  }

  /** True, once, for a message that has come back, and that no other consumer can have had meanwhile. */
  take(message: ReceivedMessage): boolean {
    if (this.#attempts.size === 0) return false;
    const key = keyOf(message);
    const attempt = this.#attempts.get(key);
    if (attempt === undefined) return false;
    this.#attempts.delete(key);
    return message.attempt <= attempt + 1;
  }
}
