import { codecs } from '../../contracts/body/codec.js';
import type { ProcedureContract } from '../../contracts/types.js';
import { copyHeaders } from '../../messages/headers.js';
import { type OutgoingMessage, REPLY_TO } from '../../transport/port.js';
import { uuid } from '../../util/uuid.js';
import type { RequestOptions } from './request-options.js';

/** One call of `broker.request`. */
export interface RequestCall {
  readonly procedure: ProcedureContract;
  readonly options: RequestOptions | undefined;
  /** The time that is left, in milliseconds. */
  readonly timeoutMs: number;
  /** The message id that a trace has named. */
  readonly tracedId: string | undefined;
}

/** A request in the form in which it travels, except its expiration: the time left is only known when it is published. */
export function requestMessage(
  { procedure, options, tracedId }: RequestCall,
  content: Buffer,
  wallNow: number,
): OutgoingMessage {
  const { name, codec } = procedure;
  const messageId = tracedId ?? uuid();
  return {
    exchange: '',
    routingKey: name,
    mandatory: true,
    content,
    properties: {
      contentType: codecs[codec].contentType,
      // Not stored on disk: a restart of the server breaks the reply address as well.
      deliveryMode: 1,
      messageId,
      correlationId: options?.correlationId ?? messageId,
      replyTo: REPLY_TO,
      timestamp: Math.floor(wallNow / 1_000),
      // A copy: the caller may change its object while the request waits.
      headers: options?.headers && copyHeaders(options.headers),
      priority: options?.priority,
      expiration: undefined,
    },
  };
}
