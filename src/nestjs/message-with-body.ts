import type { Message } from '../index.js';

/** The message with another body: what the pipes have made of it. Everything else is that of the message, its verdicts too. */
export function withBody(message: Message, body: unknown): Message {
  return new Proxy(message, {
    get(target, key) {
      if (key === 'body') return body;
      // The receiver is the message itself: its getters read private fields.
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
