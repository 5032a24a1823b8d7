import { randomUUID } from 'node:crypto';
import { REPLY_TO } from '../port.js';
import type { StoredMessage } from './message.js';

/** The channels that receive direct replies, by their reply address. */
export class Replies {
  readonly #takers = new Map<string, (message: StoredMessage) => void>();

  /** Creates an address. */
  add(take: (message: StoredMessage) => void): string {
    const address = `${REPLY_TO}.${randomUUID()}`;
    this.#takers.set(address, take);
    return address;
  }

  remove(address: string): void {
    this.#takers.delete(address);
  }

  /** Drops the message if the channel of this address is gone. */
  deliver(message: StoredMessage): void {
    this.#takers.get(message.routingKey)?.(message);
  }
}
