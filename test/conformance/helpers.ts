import type { Message } from 'leveret';

/** A handler that keeps what it gets, and can be waited for. */
export class Seen<Body> {
  readonly messages: Message<Body>[] = [];

  get bodies(): readonly Body[] {
    return this.messages.map(({ body }) => body);
  }

  readonly handler = (message: Message<Body>): void => {
    this.messages.push(message);
  };
}

export { gate } from '../helpers/gate.js';

/** What a handler may throw, too: errors whose code, message, name or prototype cannot be read. */
export function unreadable(): unknown[] {
  const refuse = () => {
    throw new Error('not readable');
  };
  return [
    Object.defineProperty(new Error('no code'), 'code', { get: refuse }),
    Object.defineProperty(new Error(), 'message', { get: refuse }),
    Object.defineProperty(new Error('no name'), 'name', { value: Symbol('name') }),
    new Proxy({}, { get: refuse, has: refuse, getPrototypeOf: refuse }),
  ];
}
