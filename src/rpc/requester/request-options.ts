import { ConfigurationError } from '../../errors.js';
import { expectHeaders, type HeaderValue } from '../../messages/headers.js';
import { checkSendHeaders } from '../../producer/send-options.js';
import {
  type Check,
  checkOptions,
  expectDuration,
  expectInteger,
  expectShortString,
  expectSignal,
} from '../../util/checks.js';

/** The options of `broker.request(…)`. */
export interface RequestOptions {
  /**
   * How long the request may take in all, in milliseconds, from the call to the answer: 1 to 2 147 483 647. A request that no
   * responder has taken by then is removed from the queue. @defaultValue 30000
   */
  readonly timeoutMs?: number | undefined;
  /** Gives up: the request rejects with the signal's reason. A responder may still work on it. */
  readonly signal?: AbortSignal | undefined;
  /** Headers beside the body: together at most 60 KiB. */
  readonly headers?: Readonly<Record<string, HeaderValue>> | undefined;
  /**
   * What ties the answer to the request, at most 255 bytes: no two requests of one broker may wait with the same one.
   * @defaultValue a new UUID
   */
  readonly correlationId?: string | undefined;
  /** 0 to 255; higher goes first, where the queue keeps priorities. */
  readonly priority?: number | undefined;
}

export const DEFAULT_TIMEOUT_MS = 30_000;

const requestChecks: Readonly<Record<string, Check>> = {
  timeoutMs: expectDuration(1),
  signal: expectSignal,
  headers: expectHeaders,
  correlationId: expectShortString(),
  priority: expectInteger(0, 255),
};

/**
 * Checks the options of a request.
 *
 * @throws ConfigurationError, or MessageTooLargeError for headers that do not fit one frame
 */
export function checkRequestOptions(target: string, options: RequestOptions | undefined): void {
  if (options === undefined) return;
  checkOptions(`request to ${target}`, options, requestChecks);
  checkSendHeaders(target, options.headers);
}

export function duplicateCorrelation(target: string, correlationId: string): ConfigurationError {
  return new ConfigurationError(
    'correlationId',
    `request to ${target}: another request with the correlationId '${correlationId}' waits for its answer`,
  );
}
