import type { MessageProperties } from '../port.js';

/** A decoded table: no two messages share an object, and undefined values are left out. */
export type Table = Record<string, unknown>;

/** A message in the server. Shared by all queues that hold it, and never changed. */
export interface StoredMessage {
  readonly exchange: string;
  readonly routingKey: string;
  /** The routing key and those of the headers CC and BCC. */
  readonly routingKeys: readonly string[];
  readonly properties: Readonly<MessageProperties>;
  readonly headers: Readonly<Table>;
  readonly content: Buffer;
  /** The last death first; kept beside the message from 4.0. */
  readonly deaths: readonly Death[];
  /** The counts of quorum queues from before the message was dead-lettered. */
  readonly counts: Counts | undefined;
}

/** One row of the header `x-death`. */
export interface Death {
  readonly count: number;
  readonly reason: DeathReason;
  readonly queue: string;
  readonly timeSeconds: number;
  readonly exchange: string;
  readonly routingKeys: readonly string[];
  readonly originalExpiration: string | undefined;
}

export type DeathReason = 'rejected' | 'expired' | 'maxlen' | 'delivery_limit';

/** How often a message was delivered. */
export interface Counts {
  /** The value of `x-delivery-count`. */
  readonly failed: number;
  /** The value of `x-acquired-count`. */
  readonly acquired: number;
  readonly wasDelivered: boolean;
}

/** One message in one queue. */
export interface Entry {
  readonly message: StoredMessage;
  /** Its place in the order of arrival. */
  readonly sequence: number;
  readonly priority: number | undefined;
  readonly sizeBytes: number;
  /** The time of the clock at which the message expires; `Infinity`: never. */
  expiresAt: number;
  /** The count that the delivery limit bounds. */
  failed: number;
  acquired: number;
  wasDelivered: boolean;
}

/** A deep copy of a table. */
export function copyTable(table: Readonly<Table>): Table {
  const copy: Table = {};
  for (const name of Object.keys(table)) {
    const value = table[name];
    if (value === undefined) continue;
    // Assigning this name would change the prototype.
    if (name === '__proto__')
      Object.defineProperty(copy, name, {
        value: copyValue(value),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    else copy[name] = copyValue(value);
  }
  return copy;
}

function copyValue(value: unknown): unknown {
  // The wire has no −0.
  if (value === 0) return 0;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (value instanceof Date) return { '!': 'timestamp', value: Math.floor(value.getTime() / 1_000) };
  return Array.isArray(value) ? value.map(copyValue) : copyTable(value as Table);
}

/** The routing keys in a header CC or BCC. */
export function keysIn(header: unknown): readonly string[] {
  return Array.isArray(header) ? header.filter((key): key is string => typeof key === 'string') : [];
}

/** The size of the encoded properties in bytes. */
export function propertyBytes(
  { headers: _headers, ...properties }: Readonly<MessageProperties>,
  headers: Table,
): number {
  let bytes = 2 + tableBytes(headers);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'string') bytes += 1 + Buffer.byteLength(value);
    else if (value !== undefined) bytes += name === 'timestamp' ? 8 : 1;
  }
  return bytes;
}

function tableBytes(table: Readonly<Table>): number {
  let bytes = 4;
  for (const [name, value] of Object.entries(table)) bytes += 2 + Buffer.byteLength(name) + valueBytes(value);
  return bytes;
}

function valueBytes(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return 4 + Buffer.byteLength(value);
    case 'boolean':
      return 1;
    case 'number':
      if (!Number.isInteger(value)) return 8;
      return Math.abs(value) < 128 ? 1 : Math.abs(value) < 32_768 ? 2 : Math.abs(value) < 2 ** 31 ? 4 : 8;
    default:
      if (value === null || value === undefined) return 0;
      if (value instanceof Uint8Array) return 4 + value.byteLength;
      if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + 1 + valueBytes(item), 4);
      return tableBytes(value as Table);
  }
}
