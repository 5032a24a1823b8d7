import { isLeveretError } from '../../errors.js';
import { errorText } from '../../messages/error-text.js';
import { ERROR_HEADER } from '../../messages/headers.js';
import { text } from '../../messages/properties.js';
import type { Delivery, MessageProperties, OutgoingMessage } from '../../transport/port.js';
import { parseFailure } from '../failure.js';

/** An answer: bytes and their content type. */
export interface Answer {
  readonly content: Buffer;
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, unknown>>;
}

/**
 * The answer to a request as a message, or undefined when the request has no reply address.
 *
 * The answer is not mandatory: before 4.3 a mandatory direct reply is returned as NO_ROUTE although it has arrived. If the
 * requester's channel is gone, every version drops the answer and confirms it.
 */
export function replyTo(
  { properties }: Delivery,
  { content, contentType, headers }: Answer,
  own: Pick<MessageProperties, 'messageId' | 'timestamp'>,
): OutgoingMessage | undefined {
  const routingKey = text(properties.replyTo);
  if (routingKey === undefined) return undefined;
  const { deliveryMode } = properties;
  return {
    exchange: '',
    routingKey,
    mandatory: false,
    content,
    properties: {
      messageId: own.messageId,
      timestamp: own.timestamp,
      contentType,
      // Some clients send no correlation id and expect their message id here.
      correlationId: text(properties.correlationId) ?? text(properties.messageId),
      deliveryMode: typeof deliveryMode === 'number' ? deliveryMode : undefined,
      headers,
    },
  };
}

/** A failure as an answer: a header that says so, and the same as JSON for clients that ignore headers. */
export function failureAnswer(error: unknown): Answer {
  const header = errorText(passedOn(error));
  return {
    content: Buffer.from(JSON.stringify({ error: parseFailure(header) })),
    contentType: 'application/json',
    headers: { [ERROR_HEADER]: header },
  };
}

/** The error of another responder, passed on, keeps its own code. */
function passedOn(error: unknown): unknown {
  if (!isLeveretError(error) || error.code !== 'REMOTE') return error;
  return { code: error.remoteCode, message: error.message };
}
