import { MessageTooLargeError, ValidationError } from '../../errors.js';
import { isThenable } from '../../util/promises.js';
import { codecs, type Encoded } from './codec.js';
import type { ContentTypes } from './content-types.js';
import type { CodecName } from './json.js';
import type { Schema } from './schema.js';
import { MAX_ISSUES, type Validation, validate } from './validate.js';

/** What a body is validated against: a queue's or an exchange's contract. */
export interface BodyContract {
  readonly schema: Schema;
  readonly codec: CodecName;
  readonly contentTypes?: ContentTypes | undefined;
}

/**
 * Validates a body and encodes it. The body itself is sent, not the schema's output; the consumer's schema produces the
 * output there. Returns at once unless the schema is asynchronous.
 *
 * @param onValidating - called, when the schema is asynchronous, with the number of bytes that are kept meanwhile
 * @throws ValidationError or MessageTooLargeError; an asynchronous schema rejects with them
 */
export function encodeBody(
  contract: BodyContract,
  target: string,
  body: unknown,
  maxBodyBytes: number,
  onValidating?: (sizeBytes: number) => void,
): Buffer | Promise<Buffer> {
  const codec = codecs[contract.codec];
  const checked = validate(contract.schema, body);
  if (!isThenable(checked)) return take(checked, () => codec.encode(body));
  // The caller may change its object while the schema runs: the body is sent as it was given.
  const given = codec.encode(body);
  if ('content' in given) onValidating?.(given.content.length);
  return Promise.resolve(checked).then((result) =>
    take(result, () => (isStill(given, codec.encode(body)) ? given : { ...given, exact: false })),
  );

  function take(result: Validation<unknown>, encode: () => Encoded): Buffer | Promise<Buffer> {
    if (!result.ok) throw new ValidationError(target, result.issues);
    const encoded = encode();
    if ('issue' in encoded) throw new ValidationError(target, [encoded.issue]);
    const { content } = encoded;
    if (content.length > maxBodyBytes) {
      const message = `The body for ${target} is ${content.length} bytes; the limit is ${maxBodyBytes} ('maxBodyBytes'). Store large data elsewhere and send a reference`;
      throw new MessageTooLargeError(message, content.length, maxBodyBytes);
    }
    return encoded.exact ? content : checkAsDecoded(content);
  }

  /**
   * JSON changed the value (a Date became a string, NaN became null), or the caller changed it later. Would the consumer
   * still accept it?
   */
  function checkAsDecoded(content: Buffer): Buffer | Promise<Buffer> {
    const result = decodeBody(contract, content, undefined, undefined);
    if (isThenable(result)) return Promise.resolve(result).then((it) => keep(it));
    return keep(result);

    function keep(it: Validation<unknown>): Buffer {
      if (it.ok) return content;
      const note = {
        message: 'JSON cannot carry this body unchanged: the received body would not match the schema',
        path: [],
      };
      throw new ValidationError(target, [note, ...it.issues].slice(0, MAX_ISSUES));
    }
  }
}

/** True when the body still encodes to the same bytes. */
function isStill(before: Encoded, now: Encoded): boolean {
  return 'content' in before && 'content' in now && before.content.equals(now.content);
}

/** Decodes a body and validates it. Never throws. Returns at once unless the schema is asynchronous. */
export function decodeBody(
  contract: BodyContract,
  content: Buffer,
  contentType: unknown,
  contentEncoding: unknown,
): Validation<unknown> | Promise<Validation<unknown>> {
  const decoded = codecs[contract.codec].decode(content, contentType, contentEncoding, contract.contentTypes);
  if ('issue' in decoded) return { ok: false, issues: [decoded.issue] };
  return validate(contract.schema, decoded.value);
}
