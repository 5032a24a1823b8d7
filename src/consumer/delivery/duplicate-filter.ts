import { crc32 } from 'node:zlib';
import type { Delivery } from '../../transport/port.js';
import type { Clock } from '../../util/clock.js';

/** How long after consuming again a message still counts as a redelivery of one that was acknowledged before. */
const REMEMBER_MS = 10 * 60_000;

/** The most lost sessions that are remembered. */
const MAX_BATCHES = 16;

interface Batch {
  readonly counts: Map<string, number>;
  expiresAt: number;
}

/**
 * The messages whose acknowledgement may have been lost with its channel. AMQP does not confirm an acknowledgement, but the
 * server delivers no more than the prefetch beyond those it has seen: so the last ones that were sent, as many as the
 * prefetch, are all that can come back. When one does, it is acknowledged again without another run of the handler.
 *
 * A message is recognised by its id and a checksum of its body. Two messages that were sent with both the same can not be told
 * apart: as soon as there is another one, which was not acknowledged, neither is recognised, so that both run.
 */
export class DuplicateFilter {
  readonly #clock: Clock;
  #ring: (string | undefined)[];
  #at = 0;
  #batches: Batch[] = [];

  constructor(capacity: number, clock: Clock) {
    this.#ring = new Array<string | undefined>(capacity);
    this.#clock = clock;
  }

  /** Notes an acknowledgement on the live channel. */
  acked(id: string | undefined, content: Uint8Array): void {
    if (id === undefined) return;
    this.#ring[this.#at] = keyOf(id, content);
    this.#at = this.#at + 1 === this.#ring.length ? 0 : this.#at + 1;
  }

  /** Notes a success that could not be acknowledged, since its channel was gone. */
  stale(id: string | undefined, content: Uint8Array): void {
    if (id === undefined) return;
    const batch = this.#batches.at(-1) ?? this.#newBatch();
    count(batch, keyOf(id, content));
  }

  /** The channel is lost: what was acknowledged last may come back, and what was not acknowledged surely does. */
  channelLost(unsettled: Iterable<Delivery>): void {
    const batch = this.#newBatch();
    for (const key of this.#ring) if (key !== undefined) count(batch, key);
    for (const { properties, content } of unsettled) {
      if (typeof properties.messageId === 'string') batch.counts.delete(keyOf(properties.messageId, content));
    }
    this.#ring.fill(undefined);
    this.#at = 0;
  }

  /** The consumer consumes again: from now on the memory runs out. */
  channelOpened(): void {
    const expiresAt = this.#clock.now() + REMEMBER_MS;
    for (const batch of this.#batches)
      if (batch.expiresAt === Number.POSITIVE_INFINITY) batch.expiresAt = expiresAt;
  }

  /** True, once for each time it was acknowledged, when the message is one that was handled already. */
  recognises(id: string | undefined, content: Uint8Array): boolean {
    if (id === undefined || this.#batches.length === 0) return false;
    this.#expire();
    const key = keyOf(id, content);
    for (const { counts } of this.#batches) {
      const times = counts.get(key);
      if (times === undefined) continue;
      if (times === 1) counts.delete(key);
      else counts.set(key, times - 1);
      return true;
    }
    return false;
  }

  /** A message came for the first time, so that it is another one than those that were handled. */
  isNew(id: string | undefined, content: Uint8Array): void {
    if (id === undefined || this.#batches.length === 0) return;
    this.#expire();
    if (this.#batches.length === 0) return;
    const key = keyOf(id, content);
    for (const { counts } of this.#batches) counts.delete(key);
  }

  #expire(): void {
    const now = this.#clock.now();
    this.#batches = this.#batches.filter((batch) => batch.expiresAt > now && batch.counts.size > 0);
  }

  #newBatch(): Batch {
    const batch: Batch = { counts: new Map(), expiresAt: Number.POSITIVE_INFINITY };
    this.#batches.push(batch);
    if (this.#batches.length > MAX_BATCHES) this.#batches.shift();
    return batch;
  }
}

function count({ counts }: Batch, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function keyOf(id: string, content: Uint8Array): string {
  return `${crc32(content).toString(36)}:${id}`;
}
