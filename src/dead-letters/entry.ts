import { decodeContent } from '../contracts/body/body.js';
import type { QueueContract } from '../contracts/types.js';
import { sentTo } from '../delay/routing-headers.js';
import type { Issue } from '../errors.js';
import { type ErrorParts, splitErrorText } from '../messages/error-text.js';
import {
  ATTEMPT_HEADER,
  ERROR_HEADER,
  FAILED_AT_HEADER,
  FAILED_IN_HEADER,
  ISSUES_HEADER,
  sendersHeaders,
} from '../messages/headers.js';
import { headersOf, tableIn, text, wholeNumber } from '../messages/properties.js';
import type { Delivery } from '../transport/port.js';

/** A message in a dead-letter queue, and why it is there. */
export interface DeadLetterEntry<Body = unknown> {
  /** The id that the sender assigned; undefined if there is none. */
  readonly id: string | undefined;
  /**
   * The body as it was sent: the schema's input, provided that it matches the schema. Undefined when it cannot be decoded;
   * see `raw`.
   */
  readonly body: Body;
  /** The bytes of the body as they arrived. */
  readonly raw: Uint8Array;
  /** The sender's headers, without those that explain the failure. */
  readonly headers: Readonly<Record<string, unknown>>;
  /** The exchange that the message was sent to; empty for a message sent to the queue itself. */
  readonly exchange: string;
  /** The routing key that the message was sent with; the name of the queue for a message sent to the queue itself. */
  readonly routingKey: string;
  /**
   * Why the message was dead-lettered. If a consumer gave up on it: the code (or the name) and the message of the error, such
   * as `INVALID_BODY`. If the server dead-lettered it: the server's own code and a sentence: `expired`, `maxlen`,
   * `delivery_limit` or `rejected`. `unknown` when the message does not say.
   */
  readonly error: { readonly code: string; readonly message: string };
  /** The issues that the schema reported for an invalid body: 20 at most. */
  readonly issues?: readonly Issue[];
  /**
   * Which run of the handler was the last; for a message that the server dead-lettered, the attempt that it was on, as far as
   * known.
   */
  readonly attempt: number;
  /** The queue in which the message failed. */
  readonly queue: string;
  /** When the message was dead-lettered: to the second if the server did it. Undefined when the message does not say. */
  readonly failedAt: Date | undefined;
}

type Headers = Readonly<Record<string, unknown>>;

/** The parts of a dead letter that say why it is here, whether a consumer or the server moved it. */
export type DeadLetterDelivery = Pick<Delivery, 'properties' | 'content'>;

/** Describes a dead letter. Never throws, whatever its headers contain. */
export function describeDeadLetter(contract: QueueContract, delivery: DeadLetterDelivery): DeadLetterEntry {
  const { properties, content } = delivery;
  const headers = headersOf(properties);
  const death = lastDeath(headers);
  const issues = death ? undefined : issuesIn(headers[ISSUES_HEADER]);
  const decoded = decodeContent(contract, content, properties);
  const carried = Math.max(1, wholeNumber(headers[ATTEMPT_HEADER]) ?? 1);
  const queue = failedQueueOf(headers) ?? contract.name;
  return {
    id: text(properties.messageId),
    body: 'value' in decoded ? decoded.value : undefined,
    raw: content,
    headers: sendersHeaders(properties.headers),
    ...sentTo({ exchange: '', routingKey: queue, ...death?.sentTo, properties }),
    error: causeOf(headers),
    ...(issues && { issues }),
    // The delivery after the last one within the limit is what brings the message here.
    attempt: carried + (death?.reason === 'delivery_limit' ? (contract.deliveryLimit ?? 0) : 0),
    queue,
    failedAt: death ? death.at : dateOf(headers[FAILED_AT_HEADER]),
  };
}

/** Why a message was dead-lettered, according to its headers. */
export function causeOf(given: unknown): ErrorParts {
  const headers = tableIn(given);
  const death = lastDeath(headers);
  if (death) {
    const explain = REASONS.get(death.reason);
    const message = explain?.(death.queue) ?? `The server removed it from '${death.queue}': ${death.reason}`;
    return { code: death.reason, message };
  }
  const error = headers[ERROR_HEADER];
  if (typeof error !== 'string')
    return { code: 'unknown', message: 'The message does not say why it is here' };
  return splitErrorText(error, 'unknown');
}

/** The queue in which a dead letter failed, whether a consumer or the server moved it. Undefined when its headers do not say. */
export function failedQueueOf(given: unknown): string | undefined {
  const headers = tableIn(given);
  return lastDeath(headers)?.queue ?? text(headers[FAILED_IN_HEADER]);
}

/**
 * Whether a dead letter comes from this queue. A dead-letter queue can serve several queues; a dead letter that does not name
 * its queue belongs to the queue that the dead-letter queue is named after.
 */
export function isDeadLetterOf(
  { name, deadLetter }: QueueContract,
  { properties }: DeadLetterDelivery,
): boolean {
  const origin = failedQueueOf(properties.headers);
  return origin === undefined ? deadLetter === `${name}.dead` : origin === name;
}

/** Sentences for the server's reasons, https://www.rabbitmq.com/docs/dlx. */
const REASONS: ReadonlyMap<string, (queue: string) => string> = new Map([
  ['expired', (queue) => `It expired: it waited in '${queue}' longer than its time to live`],
  ['maxlen', (queue) => `'${queue}' was full: it had reached its limit of messages or bytes`],
  ['delivery_limit', (queue) => `It was returned to '${queue}' more often than the delivery limit allows`],
  ['rejected', (queue) => `A consumer of '${queue}' rejected it without a reason`],
]);

interface Death {
  readonly queue: string;
  readonly reason: string;
  readonly at: Date | undefined;
  /** The exchange and routing key of the delivery to the queue; absent when the server does not say. */
  readonly sentTo: { readonly exchange: string; readonly routingKey: string } | undefined;
}

/**
 * The last time that the server dead-lettered a message. It is later than anything that a consumer wrote into the message,
 * because a consumer's copy has no headers of the server.
 */
function lastDeath(headers: Headers): Death | undefined {
  const rows = Array.isArray(headers['x-death']) ? headers['x-death'].map(tableIn) : [];
  // The last death comes first. From 4.0 on, headers identify it.
  const named = rows.find(
    ({ queue, reason }) =>
      queue === headers['x-last-death-queue'] && reason === headers['x-last-death-reason'],
  );
  const row = named ?? rows[0];
  const queue = text(row?.queue);
  const reason = text(row?.reason);
  if (queue === undefined || reason === undefined) return undefined;
  const { exchange, 'routing-keys': keys } = row ?? {};
  const routingKey: unknown = Array.isArray(keys) ? keys[0] : undefined;
  const isKnown = typeof exchange === 'string' && typeof routingKey === 'string';
  return { queue, reason, at: dateOf(row?.time), sentTo: isKnown ? { exchange, routingKey } : undefined };
}

function issuesIn(header: unknown): readonly Issue[] | undefined {
  if (typeof header !== 'string') return undefined;
  try {
    const issues: unknown = JSON.parse(header);
    return Array.isArray(issues) ? issues.filter(isIssue) : undefined;
  } catch {
    return undefined;
  }
}

function isIssue(value: unknown): value is Issue {
  if (typeof value !== 'object' || value === null) return false;
  const { message, path } = value as Partial<Record<keyof Issue, unknown>>;
  return typeof message === 'string' && Array.isArray(path);
}

/** Parses a text, or a timestamp in seconds as the server writes it. */
function dateOf(value: unknown): Date | undefined {
  const seconds = tableIn(value).value;
  const date =
    typeof value === 'string'
      ? new Date(value)
      : typeof seconds === 'number'
        ? new Date(seconds * 1_000)
        : undefined;
  return date && !Number.isNaN(date.getTime()) ? date : undefined;
}
