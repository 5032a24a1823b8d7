import { codecs } from '../contracts/body/codec.js';
import type { Contract } from '../contracts/types.js';
import { copyHeaders } from '../messages/headers.js';
import type { OutgoingMessage } from '../transport/port.js';
import type { AnySendOptions } from './send-options.js';

/** A message whose body may be encoded later. */
export interface UnfinishedMessage extends OutgoingMessage {
  content: Buffer;
}

const NO_CONTENT = Buffer.alloc(0);

/** The message that a send to this contract publishes, still without its body. The options were checked before. */
export function outgoingOf(
  contract: Contract,
  messageId: string,
  options: AnySendOptions | undefined,
  wallNow: number,
): UnfinishedMessage {
  const isQueue = contract.kind === 'queue';
  return {
    exchange: isQueue ? '' : contract.name,
    routingKey: isQueue ? contract.name : (options?.routingKey ?? ''),
    mandatory: options?.mandatory ?? isQueue,
    content: NO_CONTENT,
    properties: {
      contentType: codecs[contract.codec].contentType,
      deliveryMode: 2,
      messageId,
      timestamp: Math.floor(wallNow / 1_000),
      ...(options && {
        // A copy: the caller may change its object while the message waits.
        headers: options.headers && copyHeaders(options.headers),
        correlationId: options.correlationId,
        priority: options.priority,
        expiration: options.ttlMs?.toString(),
      }),
    },
  };
}

/** In how many milliseconds a message is to be delivered. Undefined: at once. */
export function dueInMs({ delayMs = 0, deliverAt }: AnySendOptions, wallNow: number): number | undefined {
  const ms = deliverAt === undefined ? delayMs : deliverAt.getTime() - wallNow;
  return ms > 0 ? ms : undefined;
}
