import { isAscii, isUtf8 } from 'node:buffer';
import { type Issue, messageOf } from '../../errors.js';
import { isWellFormed, show } from '../../util/checks.js';
import type { ContentTypes } from './content-types.js';
import { type CodecName, findEmptied, findPollution, isPlainJson } from './json.js';

/**
 * An encoded body. `exact` says that decoding gives the same value again, so that the consumer's validation accepts what the
 * producer's did. If it is false, the decoded value has to be validated once more.
 */
export type Encoded = { readonly content: Buffer; readonly exact: boolean } | { readonly issue: Issue };

/** A decoded body, or why it cannot be decoded. */
export type Decoded = { readonly value: unknown } | { readonly issue: Issue };

/** Converts a body to bytes and back. */
export interface Codec {
  readonly name: CodecName;
  /** The content type of its messages. */
  readonly contentType: string;
  encode(body: unknown): Encoded;
  /** @param accepted - content types that are decoded like this codec's own */
  decode(
    content: Buffer,
    contentType: unknown,
    contentEncoding: unknown,
    accepted?: ContentTypes | undefined,
  ): Decoded;
}

const json: Codec = {
  name: 'json',
  contentType: 'application/json',
  encode(body) {
    try {
      const text = JSON.stringify(body) as string | undefined;
      if (text === undefined) return problem(`${show(body)} cannot be encoded as JSON`);
      const pollution = mayPollute(text) && findPollution(body);
      if (pollution) return { issue: pollutionIssue(pollution) };
      const exact = isPlainJson(body);
      const emptied = exact ? undefined : findEmptied(body);
      if (emptied) return { issue: emptiedIssue(emptied.value, emptied.path) };
      return { content: Buffer.from(text), exact };
    } catch (error) {
      // A bigint, a circular or too deeply nested structure, or a toJSON that throws.
      return problem(`cannot be encoded as JSON: ${messageOf(error)}`);
    }
  },
  decode(content, contentType, contentEncoding, accepted) {
    const refused = refusal(contentType, contentEncoding, isJsonType, accepted);
    if (refused) return problem(refused);
    const text = decodeUtf8(content);
    if (text === undefined) return problem('is not valid UTF-8');
    try {
      // A byte order mark is not part of the text: RFC 8259, 8.1 lets a parser ignore it.
      const value: unknown = JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
      const pollution = mayPollute(text) && findPollution(value);
      return pollution ? { issue: pollutionIssue(pollution) } : { value };
    } catch (error) {
      return problem(`is not JSON: ${messageOf(error)}`);
    }
  },
};

const text: Codec = {
  name: 'text',
  contentType: 'text/plain',
  encode(body) {
    if (typeof body !== 'string') return problem(`must be a string for the codec 'text', got ${typeof body}`);
    if (!isWellFormed(body)) return problem('has a lone surrogate, which UTF-8 cannot carry');
    return { content: Buffer.from(body), exact: true };
  },
  decode(content, contentType, contentEncoding, accepted) {
    const refused = refusal(contentType, contentEncoding, isTextType, accepted);
    if (refused) return problem(refused);
    const value = decodeUtf8(content);
    return value === undefined ? problem('is not valid UTF-8') : { value };
  },
};

const bytes: Codec = {
  name: 'bytes',
  contentType: 'application/octet-stream',
  encode(body) {
    if (!(body instanceof Uint8Array))
      return problem(`must be a Uint8Array for the codec 'bytes', got ${typeof body}`);
    // A copy: the caller may write to its array while the message waits to be sent.
    return { content: Buffer.from(body), exact: Buffer.isBuffer(body) };
  },
  decode: (content) => ({ value: content }),
};

/** Every codec by its name. */
export const codecs: Readonly<Record<CodecName, Codec>> = { json, text, bytes };

/**
 * Decodes the bytes as text; undefined when they are not UTF-8. `Buffer.toString` would insert U+FFFD for wrong bytes and so
 * hide a damaged message.
 */
function decodeUtf8(content: Buffer): string | undefined {
  if (isAscii(content)) return content.toString('latin1');
  return isUtf8(content) ? content.toString('utf8') : undefined;
}

/**
 * Why this codec cannot decode a message, according to its content type and encoding. Many clients set neither, which is
 * fine.
 */
function refusal(
  contentType: unknown,
  encoding: unknown,
  isOwn: (type: string) => boolean,
  accepted: ContentTypes | undefined,
): string | undefined {
  if (accepted === 'any') return undefined;
  const fits = (type: string) => isOwn(type) || accepted?.includes(type) === true;
  if (encoding !== undefined && encoding !== '' && !READABLE_ENCODING.test(String(encoding))) {
    return `has the content encoding '${String(encoding)}', which cannot be read`;
  }
  if (contentType === undefined || contentType === '' || contentType === json.contentType) {
    return contentType && !fits(contentType as string)
      ? `has the wrong content type '${String(contentType)}'`
      : undefined;
  }
  const [type = '', ...parameters] = String(contentType).toLowerCase().split(';');
  if (!fits(type.trim())) return `has the wrong content type '${String(contentType)}'`;
  const charset = parameters
    .map((parameter) => CHARSET.exec(parameter)?.[1])
    .find((name) => name !== undefined);
  if (charset !== undefined && !READABLE_CHARSET.test(charset))
    return `has the charset '${charset}', which cannot be read`;
  return undefined;
}

/** Some clients (Celery, kombu) write the charset into the content encoding. */
const READABLE_ENCODING = /^(?:identity|utf-?8|us-ascii)$/i;
const CHARSET = /^\s*charset\s*=\s*"?([^"\s]+)"?\s*$/;
const READABLE_CHARSET = /^(?:utf-?8|us-ascii)$/;

const isJsonType = (type: string) =>
  type === 'application/json' || type === 'text/json' || type.endsWith('+json');
const isTextType = (type: string) => type.startsWith('text/');

/** A quick test that spares almost every body a full walk. */
const mayPollute = (source: string) => /proto|\\u/.test(source);

const pollutionIssue = (path: (string | number)[]): Issue => ({ message: 'this key is not allowed', path });

const emptiedIssue = (value: object, path: (string | number)[]): Issue => ({
  message: `JSON would lose the contents of ${show(value)}: send a plain object or an array`,
  path,
});

const problem = (message: string): { issue: Issue } => ({ issue: { message, path: [] } });
