import type { OutgoingMessage } from '../transport/port.js';

/** The part of a message that a row stores besides its body, id and contract. */
export interface Envelope {
  readonly exchange: string;
  readonly routingKey: string;
  readonly mandatory: boolean;
  readonly contentType: string;
  /** Seconds since 1970. */
  readonly timestamp: number;
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
  readonly correlationId?: string | undefined;
  readonly priority?: number | undefined;
  readonly expiration?: string | undefined;
}

/** The envelope of a message, as text. Headers keep their types, such as bytes, which JSON alone does not have. */
export function encodeEnvelope({ exchange, routingKey, mandatory, properties }: OutgoingMessage): string {
  const { headers } = properties;
  return JSON.stringify({
    exchange,
    routingKey,
    mandatory,
    ...properties,
    // The row has a column for the id, and every message is persistent: JSON leaves out what is undefined.
    messageId: undefined,
    deliveryMode: undefined,
    headers: headers && packTable(headers),
  });
}

/** The message of a row. Throws for a text that {@link encodeEnvelope} did not create. */
export function toMessage(envelope: string, messageId: string, content: Buffer): OutgoingMessage {
  const { exchange, routingKey, mandatory, headers, ...properties } = JSON.parse(envelope) as Envelope;
  return {
    exchange,
    routingKey,
    mandatory,
    content,
    properties: {
      ...properties,
      deliveryMode: 2,
      messageId,
      ...(headers === undefined ? undefined : { headers: unpackTable(headers) }),
    },
  };
}

/** Text, numbers, booleans and `null` represent themselves; any other value is a list that begins with its kind. */
function pack(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return ['bytes', Buffer.from(value).toString('base64')];
  if (Array.isArray(value)) return ['list', ...value.map(pack)];
  return ['table', packTable(value as Record<string, unknown>)];
}

function packTable(table: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [name, pack(value)]));
}

function unpack(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  const [kind, ...items] = value as [string, ...unknown[]];
  if (kind === 'bytes') return Buffer.from(items[0] as string, 'base64');
  if (kind === 'list') return items.map(unpack);
  return unpackTable(items[0] as Record<string, unknown>);
}

function unpackTable(table: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [name, unpack(value)]));
}
