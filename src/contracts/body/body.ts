import { MessageTooLargeError, ValidationError } from '../../errors.js';
import { isThenable } from '../../util/promises.js';
import { codecs, type Decoded, type Encoded } from './codec.js';
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

/** The properties that describe the body of a received message. Another client may have set them to anything. */
export interface BodyProperties {
  readonly contentType?: unknown;
  readonly contentEncoding?: unknown;
}

const NO_PROPERTIES: BodyProperties = {};

/** A body whose schema is asynchronous. */
export interface LaterBody {
  /** Rejects with a ValidationError or MessageTooLargeError. */
  readonly content: Promise<Buffer>;
  /** The memory that is kept meanwhile. */
  readonly sizeBytes: number;
}

/**
 * Validates a body and encodes it. The body itself is sent, not the schema's output; the consumer's schema produces the
 * output there. Returns the bytes at once unless the schema is asynchronous.
 *
 * @throws ValidationError or MessageTooLargeError
 */
export function encodeBody(
  contract: BodyContract,
  target: string,
  body: unknown,
  maxBodyBytes: number,
): Buffer | LaterBody {
  const codec = codecs[contract.codec];
  const checked = validate(contract.schema, body);
  if (!isThenable(checked)) {
    checkValid(target, checked);
    const encoded = contentOf(target, codec.encode(body), maxBodyBytes);
    return encoded.exact ? encoded.content : checkAsDecoded(contract, target, encoded.content);
  }
  // The caller may change its object while the schema runs: the body is sent as it was given.
  const given = codec.encode(body);
  const encode = async () => {
    checkValid(target, await checked);
    const { content, exact } = contentOf(target, given, maxBodyBytes);
    if (exact && isStill(given, codec.encode(body))) return content;
    const result = checkAsDecoded(contract, target, content);
    return Buffer.isBuffer(result) ? result : result.content;
  };
  return { content: encode(), sizeBytes: 'content' in given ? given.content.length : 0 };
}

function checkValid(target: string, result: Validation<unknown>): void {
  if (!result.ok) throw new ValidationError(target, result.issues);
}

function contentOf(target: string, encoded: Encoded, maxBodyBytes: number) {
  if ('issue' in encoded) throw new ValidationError(target, [encoded.issue]);
  const { length } = encoded.content;
  if (length <= maxBodyBytes) return encoded;
  const message = `The body for ${target} is ${length} bytes; the limit is ${maxBodyBytes} ('maxBodyBytes'). Store large data elsewhere and send a reference`;
  throw new MessageTooLargeError(message, length, maxBodyBytes);
}

/**
 * JSON changed the value (a Date became a string, NaN became null), or the caller changed it later. Would the consumer still
 * accept it?
 */
function checkAsDecoded(contract: BodyContract, target: string, content: Buffer): Buffer | LaterBody {
  const keep = (result: Validation<unknown>): Buffer => {
    if (result.ok) return content;
    const note = {
      message: 'JSON cannot carry this body unchanged: the received body would not match the schema',
      path: [],
    };
    throw new ValidationError(target, [note, ...result.issues].slice(0, MAX_ISSUES));
  };
  const result = decodeBody(contract, content, NO_PROPERTIES);
  return isThenable(result)
    ? { content: Promise.resolve(result).then(keep), sizeBytes: content.length }
    : keep(result);
}

/** True when the body still encodes to the same bytes. */
function isStill(before: Encoded, now: Encoded): boolean {
  return 'content' in before && 'content' in now && before.content.equals(now.content);
}

/** The body of a received message, unless it is too large: decoded and validated as by {@link decodeBody}. */
export function receiveBody(
  contract: BodyContract,
  { content, properties }: { readonly content: Buffer; readonly properties: BodyProperties },
  maxBodyBytes: number,
): Validation<unknown> | Promise<Validation<unknown>> {
  if (content.length <= maxBodyBytes) return decodeBody(contract, content, properties);
  const message = `is ${content.length} bytes; the limit is ${maxBodyBytes} (the broker's 'maxBodyBytes')`;
  return { ok: false, issues: [{ message, path: [] }] };
}

/** Decodes a body and validates it. Never throws. Returns at once unless the schema is asynchronous. */
export function decodeBody(
  contract: BodyContract,
  content: Buffer,
  properties: BodyProperties,
): Validation<unknown> | Promise<Validation<unknown>> {
  const decoded = decodeContent(contract, content, properties);
  if ('issue' in decoded) return { ok: false, issues: [decoded.issue] };
  return validate(contract.schema, decoded.value);
}

/** Decodes a body without validating it. Never throws. */
export function decodeContent(
  { codec, contentTypes }: Omit<BodyContract, 'schema'>,
  content: Buffer,
  { contentType, contentEncoding }: BodyProperties,
): Decoded {
  return codecs[codec].decode(content, contentType, contentEncoding, contentTypes);
}
