import { createHash } from 'node:crypto';
import { ATTEMPT_HEADER, ownHeaders } from '../../messages/headers.js';
import { headerIn } from '../../messages/properties.js';
import type { Delivery } from '../../transport/port.js';
import type { Clock } from '../../util/clock.js';

/** How long after a recovery a message still counts as a redelivery of one that was acknowledged before. */
const REMEMBER_MS = 10 * 60_000;

/** The most lost sessions that are remembered. */
const MAX_BATCHES = 16;

/** How many of the most recent keys are known, to detect one that several messages have. */
const MAX_KEYS = 512;

/** The most bytes of bodies that are kept in memory. */
const MAX_KEPT_BYTES = 4 * 1024 * 1024;

/** The handled messages of one lost session. */
interface Batch {
  /** A fingerprint of each message, by its key. */
  readonly handled: Map<string, string>;
  /** Keys that more than one message had. */
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
 * A message is recognised by its id, attempt, body, headers and timestamp, and only when these came on no other message: one that
 * merely looks the same was perhaps handled by no one, and must run. While nothing is lost, nothing is compared or hashed.
 */
export class DuplicateFilter {
  readonly #settings: DuplicateFilterSettings;
  readonly #acked: (Delivery | undefined)[];
  readonly #ackedAt: Float64Array;
  #next = 0;
  #oldest = 0;
  #keptBytes = 0;
  readonly #keys = new Array<string | undefined>(MAX_KEYS).fill(undefined);
  #nextKey = 0;
  #batches: Batch[] = [];

  constructor(settings: DuplicateFilterSettings) {
    this.#settings = settings;
    this.#acked = new Array<Delivery | undefined>(settings.capacity).fill(undefined);
    this.#ackedAt = new Float64Array(settings.capacity);
  }

  /** Records an acknowledgement on the open channel. */
  acked(delivery: Delivery): void {
    if (keyOf(delivery) === undefined) return;
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
    const key = keyOf(delivery);
    if (key === undefined) return;
    const batch = this.#batches.at(-1) ?? this.#newBatch([]);
    if (!batch.ambiguous.has(key)) batch.handled.set(key, printOf(delivery));
  }

  /** The channel is lost: messages that were acknowledged last may be redelivered, and unacknowledged ones will be. */
  channelLost(unsettled: Iterable<Delivery>): void {
    const { clock, windowMs } = this.#settings;
    const since = clock.now() - windowMs;
    const recent = this.#acked.filter((it, at) => it && (this.#ackedAt[at] as number) >= since);
    const acked = recent as readonly Delivery[];
    const batch = this.#newBatch([...acked, ...unsettled]);
    for (const delivery of acked) {
      const key = keyOf(delivery) as string;
      if (!batch.ambiguous.has(key)) batch.handled.set(key, printOf(delivery));
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
    const key = keyOf(delivery);
    if (key === undefined) return false;
    const isKnown = delivery.redelivered && this.#keys.includes(key);
    if (!isKnown) this.#note(key);
    if (this.#batches.length === 0) return false;
    this.#expire();
    const batch = this.#batches.find(({ handled }) => handled.has(key));
    if (!batch) return false;
    if (!delivery.redelivered) {
      // The message differs from those that were handled, which cannot be told apart from more of its kind.
      for (const { handled } of this.#batches) handled.delete(key);
      return false;
    }
    return batch.handled.get(key) === printOf(delivery) && batch.handled.delete(key);
  }

  #note(key: string): void {
    this.#keys[this.#nextKey] = key;
    this.#nextKey = (this.#nextKey + 1) % MAX_KEYS;
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
    const keys = concerned.map(keyOf);
    const ambiguous = new Set([...repeated(keys), ...repeated(this.#keys)]);
    const batch: Batch = { handled: new Map(), ambiguous, expiresAt: Number.POSITIVE_INFINITY };
    this.#batches.push(batch);
    if (this.#batches.length > MAX_BATCHES) this.#batches.shift();
    return batch;
  }
}

/** The id, and for the copy of another attempt its number: the copy has the id of its original. Undefined without an id. */
function keyOf({ properties }: Delivery): string | undefined {
  const { messageId, headers } = properties;
  if (typeof messageId !== 'string' || messageId === '') return undefined;
  const attempt = headers
    ? headerIn(headers as Readonly<Record<string, unknown>>, ATTEMPT_HEADER)
    : undefined;
  return typeof attempt === 'number' ? `${attempt}\0${messageId}` : messageId;
}

function repeated(keys: readonly (string | undefined)[]): string[] {
  const seen = new Set<string>();
  return keys.filter((key): key is string => {
    if (key === undefined) return false;
    const isRepeated = seen.has(key);
    seen.add(key);
    return isRepeated;
  });
}

/** A fingerprint of a message without its id, whatever headers the server has added since. */
function printOf({ content, properties }: Delivery): string {
  const about = JSON.stringify([ownHeaders(properties.headers), properties.timestamp]);
  return createHash('sha256').update(about).update('\n').update(content).digest('base64');
}
