import type { ExchangeContract } from '../contracts/exchange.js';
import type { Contract } from '../contracts/topology.js';
import { MAX_DELAY_MS } from '../delay/levels.js';
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

/** The options of one `send`. */
export interface SendOptions {
  /** The message's id, at most 255 bytes. @defaultValue a new UUID */
  readonly messageId?: string | undefined;
  /** Ties the message to another one, at most 255 bytes. */
  readonly correlationId?: string | undefined;
  /** Headers beside the body: together at most 60 KiB. */
  readonly headers?: Readonly<Record<string, HeaderValue>> | undefined;
  /** 0 to 255; higher goes first, where the queue keeps priorities. */
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
   * The same as `delayMs`, as a date by this computer's clock, at most 60 days ahead; one that has passed means at once. Not
   * together with that.
   */
  readonly deliverAt?: Date | undefined;
  /** How long the send may take in all, in milliseconds, 1 or more, or `Infinity`. @defaultValue the producer's, 30 000 */
  readonly timeoutMs?: number | undefined;
  /** Gives up: the send rejects with the signal's reason. What is already on its way may still arrive. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Whether some queue has to take the message; if none does, the send rejects with `UnroutableError`.
   * @defaultValue true for a queue, false for an exchange
   */
  readonly mandatory?: boolean | undefined;
}

/** What `send` takes after the body: a routing key is needed where the exchange looks at one, and absent elsewhere. */
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

/** Options of a send as given, routing key and all. */
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
    const message = `The headers for ${target} have ${checked.sizeBytes} bytes, ${MAX_HEADERS_BYTES} are allowed. Put data into the body`;
    throw new MessageTooLargeError(message, checked.sizeBytes, MAX_HEADERS_BYTES);
  }
}
