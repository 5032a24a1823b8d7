import { type Context, ROOT_CONTEXT } from '@opentelemetry/api';
import { sideTable } from '../diagnostics/side-table.js';

/**
 * The context of a message: its `process` span, and the baggage that it carries. Active in handlers. A `for await` body
 * cannot have an active context: use this.
 *
 * @param message - as a handler, a batch or a loop has got it
 * @returns the root context when there is none: the instrumentation was off when the message came
 *
 * @example
 * ```ts
 * import { context } from '@opentelemetry/api';
 * import { Broker, queue } from 'leveret';
 * import { messageContext } from 'leveret/opentelemetry';
 * import { z } from 'zod';
 *
 * const broker = await Broker.connect('amqp://localhost');
 * const emails = queue('emails', z.object({ to: z.email() }));
 * for await (const message of broker.consumer(emails)) {
 *   context.with(messageContext(message), () => console.log(message.body.to));
 * }
 * ```
 */
export function messageContext(message: object): Context {
  return contextOf(message) ?? ROOT_CONTEXT;
}

/** Undefined if the message was not observed. */
export function contextOf(message: object): Context | undefined {
  return sideTable.contexts.get(message) as Context | undefined;
}

export function rememberContext(message: object, context: Context): void {
  sideTable.contexts.set(message, context);
}
