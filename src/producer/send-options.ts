import type { Contract, ExchangeContract } from '../contracts/types.js';
import { ConfigurationError, MessageTooLargeError } from '../errors.js';
import { checkHeaders, expectHeaders, type HeaderValue, MAX_HEADERS_BYTES } from '../messages/headers.js';
import {
  type Check,
  checkOptions,
  expectBoolean,
  expectDate,
  expectDuration,
  expectInteger,
  expectNumber,
  expectShortString,
  expectSignal,
  show,
} from '../util/checks.js';
import { MAX_DELAY_MS } from '../util/limits.js';

/** The options of a `send`. */
export interface SendOptions {
  /** The message's id, at most 255 bytes. @defaultValue a new UUID */
  readonly messageId?: string | undefined;
  /** Relates the message to another one, at most 255 bytes. */
  readonly correlationId?: string | undefined;
  /** Headers of the message: at most 60 KiB together. */
  readonly headers?: Readonly<Record<string, HeaderValue>> | undefined;
  /**
   * 0 to 255; higher ones are delivered first. A classic queue with `maxPriority` keeps as many apart. Quorum queues need no
   * option: from RabbitMQ 4.0 on they know two classes (0 to 4, and above), from 4.3 on 32 priorities.
   */
  readonly priority?: number | undefined;
  /** How long the message may wait in the queue, in milliseconds, 0 to 4 294 967 295; then it is dead-lettered. */
  readonly ttlMs?: number | undefined;
  /**
   * Delivers the message that many milliseconds after the call, 0 to 5 184 000 000 (60 days): never before, and usually less
   * than 100 ms after. Needs no plugin: it waits on the server, in quorum queues named `leveret.delay.…`. Sent to an exchange,
   * it reaches the queues that are bound when the delay ends; `mandatory` does not look that far ahead. A message whose queue
   * is gone by then is kept in `leveret.delay.undelivered`. Not together with `ttlMs`.
   */
  readonly delayMs?: number | undefined;
  /**
   * Like `delayMs`, but as a date on this computer's clock, at most 60 days ahead; a date in the past means at once. Cannot
   * be combined with `delayMs`.
   */
  readonly deliverAt?: Date | undefined;
  /** The time limit of the send, in milliseconds, 1 or more, or `Infinity`. @defaultValue the producer's, 30 000 */
  readonly timeoutMs?: number | undefined;
  /** Abandons the send, which rejects with the signal's reason. A message that is already on its way may still arrive. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Whether a queue must receive the message; if none does, the send rejects with `UnroutableError`.
   * @defaultValue true for a queue, false for an exchange
   */
  readonly mandatory?: boolean | undefined;
}

/**
 * The arguments of `send` after the body: a routing key is required if the exchange type uses one, and not allowed otherwise.
 */
export type SendArguments<C extends Contract> =
  C extends ExchangeContract<infer _S, infer T>
    ? T extends 'topic' | 'direct'
      ? [options: SendOptions & { readonly routingKey: string }]
      : [options?: SendOptions & { readonly routingKey?: never }]
    : [options?: SendOptions & { readonly routingKey?: never }];

const sendChecks: Readonly<Record<string, Check>> = {
  messageId: expectShortString(),
  correlationId: expectShortString({ empty: true }),
  headers: expectHeaders,
  priority: expectInteger(0, 255),
  ttlMs: expectInteger(0, 2 ** 32 - 1),
  delayMs: expectNumber(0, MAX_DELAY_MS),
  deliverAt: expectDate,
  timeoutMs: expectDuration(1, { infinity: true }),
  signal: expectSignal,
  mandatory: expectBoolean,
  routingKey: expectShortString({ empty: true }),
};

/** The options of a send as given, including the routing key. */
export type AnySendOptions = SendOptions & { readonly routingKey?: string };

/**
 * Checks the options of a send to this contract.
 *
 * @throws ConfigurationError, or MessageTooLargeError for headers that do not fit one frame
 */
export function checkSendOptions(
  contract: Contract,
  target: string,
  options: AnySendOptions | undefined,
): void {
  const needsKey = contract.kind === 'exchange' && (contract.type === 'topic' || contract.type === 'direct');
  if (options !== undefined) checkOptions(`send to ${target}`, options, sendChecks);
  if (needsKey && options?.routingKey === undefined) {
    throw new ConfigurationError(
      'routingKey',
      `send to ${target}: a ${contract.type} exchange needs a 'routingKey'`,
    );
  }
  if (!needsKey && options?.routingKey !== undefined) {
    const what = contract.kind === 'queue' ? 'queue' : `${contract.type} exchange`;
    throw new ConfigurationError(
      'routingKey',
      `send to ${target}: a ${what} takes no 'routingKey', got ${show(options.routingKey)}`,
    );
  }
  checkSendHeaders(target, options?.headers);
}

/**
 * Checks the headers of a message.
 *
 * @throws ConfigurationError, or MessageTooLargeError for headers that do not fit one frame
 */
export function checkSendHeaders(target: string, headers: SendOptions['headers']): void {
  if (headers === undefined) return;
  const checked = checkHeaders(headers);
  if ('expected' in checked) {
    throw new ConfigurationError(
      'headers',
      `send to ${target}: the header '${checked.path}' must be ${checked.expected}`,
    );
  }
  if (checked.sizeBytes > MAX_HEADERS_BYTES) {
    const message = `The headers for ${target} are ${checked.sizeBytes} bytes; the limit is ${MAX_HEADERS_BYTES}. Move the data into the body`;
    throw new MessageTooLargeError(message, checked.sizeBytes, MAX_HEADERS_BYTES);
  }
}
