import { randomUUID } from 'node:crypto';
import type { StoredMessage } from './message.js';

/** The queue that is none: https://www.rabbitmq.com/docs/direct-reply-to */
export const REPLY_TO = 'amq.rabbitmq.reply-to';

export function isReplyAddress(routingKey: string): boolean {
  return routingKey.startsWith(`${REPLY_TO}.`);
}

/** The channels that take direct replies, by the address that responders answer to. */
export class Replies {
  readonly #takers = new Map<string, (message: StoredMessage) => void>();

  /** Makes an address. */
  add(take: (message: StoredMessage) => void): string {
    const address = `${REPLY_TO}.${randomUUID()}`;
    this.#takers.set(address, take);
    return address;
  }

  remove(address: string): void {
    this.#takers.delete(address);
  }

  /** Drops it when nobody is at this address any more. */
  deliver(message: StoredMessage): void {
    this.#takers.get(message.routingKey)?.(message);
  }
}
