import { type ErrorParts, splitErrorText } from '../messages/error-text.js';
import { ERROR_HEADER } from '../messages/headers.js';
import { headersOf } from '../messages/properties.js';
import type { Delivery } from '../transport/port.js';

/** Why a request failed, according to its answer. */
export type Failure = ErrorParts;

/** The failure that an answer describes; undefined for a successful answer. */
export function failureIn({ properties }: Delivery): Failure | undefined {
  const header = headersOf(properties)[ERROR_HEADER];
  return typeof header === 'string' ? parseFailure(header) : undefined;
}

/** The failure that a header describes. */
export function parseFailure(header: string): Failure {
  return splitErrorText(header, 'Error');
}
