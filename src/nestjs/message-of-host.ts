import type { ArgumentsHost } from '@nestjs/common';
import type { Message } from '../index.js';

/** The value of `context.getType()` while a guard, an interceptor, a pipe or a filter handles a message. */
export const CONTEXT_TYPE = 'leveret';

/**
 * The message that a guard, an interceptor or a filter handles; undefined in any other kind of context, such as that of an
 * HTTP request.
 */
export function getMessage(host: ArgumentsHost): Message | undefined {
  return host.getType<string>() === CONTEXT_TYPE ? host.getArgByIndex<Message>(0) : undefined;
}
