import { isUtf8 } from 'node:buffer';

/** A body in JSON output: the parsed value if it is JSON, or else its bytes. */
export type ShownBody = { readonly body: unknown } | { readonly bodyBase64: string };

export function bodyOf(raw: Uint8Array): ShownBody {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  if (isUtf8(bytes)) {
    try {
      return { body: JSON.parse(bytes.toString('utf8').replace(/^\ufeff/, '')) as unknown };
    } catch {
      // No JSON.
    }
  }
  return { bodyBase64: bytes.toString('base64') };
}

/** A header in JSON output: bytes as base64, and an AMQP timestamp or decimal by its value. */
export function headerValue(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(headerValue);
  const { '!': type, value: inner } = value as { readonly '!'?: unknown; readonly value?: unknown };
  if (type === 'timestamp' || type === 'decimal') return headerValue(inner);
  return Object.fromEntries(Object.entries(value).map(([name, it]) => [name, headerValue(it)]));
}
