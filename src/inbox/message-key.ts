import type { Message } from '../consumer/delivery/message.js';
import { ValidationError } from '../errors.js';
import { isWellFormed } from '../util/checks.js';
import { isThenable } from '../util/promises.js';

/** The longest id, in bytes of UTF-8. */
const MAX_KEY_BYTES = 1_000;

/** Returns the id that identifies a message. */
export type IdempotencyKey = (message: Message) => string;

/**
 * The id of a message; undefined if it has none; an error, INVALID_KEY, for an id that cannot be stored. Throws what the
 * user's function throws.
 */
export function keyOf(
  queue: string,
  message: Message,
  idempotencyKey: IdempotencyKey | undefined,
): string | ValidationError | undefined {
  const key: unknown = idempotencyKey ? idempotencyKey(message) : message.id;
  if (!idempotencyKey && key === undefined) return undefined;
  const isFine =
    typeof key === 'string' &&
    key !== '' &&
    !key.includes('\0') &&
    isWellFormed(key) &&
    Buffer.byteLength(key) <= MAX_KEY_BYTES;
  if (isFine) return key;
  // A promise is not awaited, and its rejection must not end the process.
  if (isThenable(key)) key.then(undefined, () => {});
  // The key is not shown, because it may be personal data.
  const expected = `a string of 1 to ${MAX_KEY_BYTES} bytes of UTF-8, without U+0000`;
  const what = idempotencyKey ? "'idempotencyKey' must return" : 'The id of the message must be';
  const issues = [{ message: `${what} ${expected}`, path: [] }];
  return new ValidationError(`the queue '${queue}'`, issues, { code: 'INVALID_KEY' });
}
