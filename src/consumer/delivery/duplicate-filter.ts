import { createHash } from 'node:crypto';
import { ownHeaders } from '../../messages/headers.js';
import type { Delivery } from '../../transport/port.js';
import type { Clock } from '../../util/clock.js';

/** How long after a recovery a message still counts as a redelivery of one that was acknowledged before. */
const REMEMBER_MS = 10 * 60_000;

/** The most lost sessions that are remembered. */
const MAX_BATCHES = 16;

/** How many of the most recent ids are known, to detect an id that several messages carry. */
const MAX_IDS = 512;

/** The most bytes of bodies that are kept in memory. */
const MAX_KEPT_BYTES = 4 * 1024 * 1024;

/** The handled messages of one lost session. */
interface Batch {
  /** A fingerprint of each message, by its id. */
  readonly handled: Map<string, string>;
  /** Ids that more than one message carried. */
  readonly ambiguous: ReadonlySet<string>;
  expiresAt: number;
}

export interface DuplicateFilterSettings {
  /** The most messages that can be redelivered: the prefetch. */
  readonly capacity: number;
  /** How long before a loss is noticed an acknowledgement can have been lost, in milliseconds: three heartbeats. */
  readonly windowMs: number;
  readonly clock: Clock;
}

/**
 * The messages whose acknowledgement may have been lost with its channel. AMQP does not confirm an acknowledgement, but the
 * server delivers no more than the prefetch beyond those it has seen, and a lost connection is noticed within three heartbeats: so
 * the last ones that were sent are all that can come back. When one does, it is acknowledged again without another run.
 *
 * A message is recognised by its id, body, headers and timestamp, and only when its id came on no other message: one that merely
 * looks the same was perhaps handled by no one, and must run. While nothing is lost, nothing is compared or hashed.
 */
export class DuplicateFilter {
  readonly #settings: DuplicateFilterSettings;
  readonly #acked: (Delivery | undefined)[];
  readonly #ackedAt: Float64Array;
  #next = 0;
  #oldest = 0;
  #keptBytes = 0;
  readonly #ids = new Array<string | undefined>(MAX_IDS).fill(undefined);
  #nextId = 0;
  #batches: Batch[] = [];

  constructor(settings: DuplicateFilterSettings) {
    this.#settings = settings;
    this.#acked = new Array<Delivery | undefined>(settings.capacity).fill(undefined);
    this.#ackedAt = new Float64Array(settings.capacity);
  }

  /** Records an acknowledgement on the open channel. */
  acked(delivery: Delivery): void {
    if (idOf(delivery) === undefined) return;
    const at = this.#next;
    this.#keptBytes += delivery.content.length - (this.#acked[at]?.content.length ?? 0);
    this.#acked[at] = delivery;
    this.#ackedAt[at] = this.#settings.clock.now();
    this.#next = this.#after(at);
    if (this.#oldest === at) this.#oldest = this.#next;
    while (this.#keptBytes > MAX_KEPT_BYTES && this.#oldest !== at) this.#forgetOldest();
  }

  /** Records a success that could not be acknowledged, because its channel was gone. */
  stale(delivery: Delivery): void {
    const id = idOf(delivery);
    if (id === undefined) return;
    const batch = this.#batches.at(-1) ?? this.#newBatch([]);
    if (!batch.ambiguous.has(id)) batch.handled.set(id, printOf(delivery));
  }

  /** The channel is lost: messages that were acknowledged last may be redelivered, and unacknowledged ones will be. */
  channelLost(unsettled: Iterable<Delivery>): void {
    const { clock, windowMs } = this.#settings;
    const since = clock.now() - windowMs;
    const recent = this.#acked.filter((it, at) => it && (this.#ackedAt[at] as number) >= since);
    const acked = recent as readonly Delivery[];
    const batch = this.#newBatch([...acked, ...unsettled]);
    for (const delivery of acked) {
      const id = idOf(delivery) as string;
      if (!batch.ambiguous.has(id)) batch.handled.set(id, printOf(delivery));
    }
    this.#acked.fill(undefined);
    this.#next = 0;
    this.#oldest = 0;
    this.#keptBytes = 0;
  }

  /** The consumer is consuming again: from now on the memory expires. */
  channelOpened(): void {
    const expiresAt = this.#settings.clock.now() + REMEMBER_MS;
    for (const batch of this.#batches)
      if (batch.expiresAt === Number.POSITIVE_INFINITY) batch.expiresAt = expiresAt;
  }

  /** Checks a delivery. Returns true, once, for a message that was already handled. */
  recognises(delivery: Delivery): boolean {
    const id = idOf(delivery);
    if (id === undefined) return false;
    const isKnown = delivery.redelivered && this.#ids.includes(id);
    if (!isKnown) this.#note(id);
    if (this.#batches.length === 0) return false;
    this.#expire();
    const batch = this.#batches.find(({ handled }) => handled.has(id));
    if (!batch) return false;
    if (!delivery.redelivered) {
      // The message differs from those that were handled, which cannot be told apart from more of its kind.
      for (const { handled } of this.#batches) handled.delete(id);
      return false;
    }
    return batch.handled.get(id) === printOf(delivery) && batch.handled.delete(id);
  }

  #note(id: string): void {
    this.#ids[this.#nextId] = id;
    this.#nextId = (this.#nextId + 1) % MAX_IDS;
  }

  #after(at: number): number {
    return at + 1 === this.#acked.length ? 0 : at + 1;
  }

  #forgetOldest(): void {
    this.#keptBytes -= this.#acked[this.#oldest]?.content.length ?? 0;
    this.#acked[this.#oldest] = undefined;
    this.#oldest = this.#after(this.#oldest);
  }

  #expire(): void {
    const now = this.#settings.clock.now();
    // The sessions that were lost first expire first.
    while (this.#batches[0] && this.#batches[0].expiresAt <= now) this.#batches.shift();
  }

  /** @param concerned - the messages that were acknowledged last, and those that were not */
  #newBatch(concerned: readonly Delivery[]): Batch {
    const ids = concerned.map(idOf);
    const ambiguous = new Set([...repeated(ids), ...repeated(this.#ids)]);
    const batch: Batch = { handled: new Map(), ambiguous, expiresAt: Number.POSITIVE_INFINITY };
    this.#batches.push(batch);
    if (this.#batches.length > MAX_BATCHES) this.#batches.shift();
    return batch;
  }
}

function idOf({ properties }: Delivery): string | undefined {
  const { messageId } = properties;
  return typeof messageId === 'string' && messageId !== '' ? messageId : undefined;
}

function repeated(ids: readonly (string | undefined)[]): string[] {
  const seen = new Set<string>();
  return ids.filter((id): id is string => {
    if (id === undefined) return false;
    const isRepeated = seen.has(id);
    seen.add(id);
    return isRepeated;
  });
}

/** A fingerprint of a message without its id, whatever headers the server has added since. */
function printOf({ content, properties }: Delivery): string {
  const about = JSON.stringify([ownHeaders(properties.headers), properties.timestamp]);
  return createHash('sha256').update(about).update('\n').update(content).digest('base64');
}
