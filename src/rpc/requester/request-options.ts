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
   * The time limit from the call to the response, in milliseconds: 1 to 2 147 483 647. A request that no responder has taken
   * by then is removed from the queue. @defaultValue 30000
   */
  readonly timeoutMs?: number | undefined;
  /** Abandons the request, which rejects with the signal's reason. A responder may still process it. */
  readonly signal?: AbortSignal | undefined;
  /** Headers of the request: at most 60 KiB together. */
  readonly headers?: Readonly<Record<string, HeaderValue>> | undefined;
  /**
   * Relates the response to the request, at most 255 bytes: two pending requests of one broker must not have the same one.
   * @defaultValue a new UUID
   */
  readonly correlationId?: string | undefined;
  /** 0 to 255; on a queue with priorities, higher ones are delivered first. */
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
