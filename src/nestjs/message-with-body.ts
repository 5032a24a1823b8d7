import { sideTable } from '../diagnostics/side-table.js';
import type { Message } from '../index.js';

/**
 * The message with another body: the output of the pipes. Everything else belongs to the original message, including its
 * verdict methods.
 */
export function withBody(message: Message, body: unknown): Message {
  const replaced = new Proxy(message, {
    get(target, key) {
      if (key === 'body') return body;
      // The receiver is the message itself, because its getters read private fields.
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  // `messageContext` is asked with this one.
  const context = sideTable.contexts.get(message);
  if (context !== undefined) sideTable.contexts.set(replaced, context);
  return replaced;
}
