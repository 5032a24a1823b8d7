import { createHash } from 'node:crypto';
import { carriedAttempt } from '../../messages/attempt.js';
import { ownHeaders } from '../../messages/headers.js';
import type { Delivery } from '../../transport/port.js';
import type { Clock } from '../../util/clock.js';

/** For this long after a recovery, a message can be a redelivery of one that was acknowledged before. */
const REMEMBER_MS = 10 * 60_000;

/** The most lost sessions that are remembered. */
const MAX_BATCHES = 16;

/** The number of recent messages whose ids are kept, to detect an id that several messages carry. */
const MAX_KNOWN = 512;

/** The most bytes of bodies that are kept in memory. */
const MAX_KEPT_BYTES = 4 * 1024 * 1024;

/** The handled messages of one lost session. */
interface Batch {
  /** A fingerprint of each message, by its id and its attempt. */
  readonly handled: Map<string, Map<number, string>>;
  /** Ids that more than one message carried. The copies of these messages carry them, too. */
  readonly ambiguous: ReadonlySet<string>;
  expiresAt: number;
}

export interface DuplicateFilterSettings {
  /** The most messages that can be redelivered: the prefetch. */
  readonly capacity: number;
  /** An acknowledgement sent this long before a loss is noticed may be lost, in milliseconds: three heartbeats. */
  readonly windowMs: number;
  readonly clock: Clock;
}

/**
 * The messages whose acknowledgement may have been lost with its channel. AMQP does not confirm an acknowledgement, but the
 * server delivers no more than the prefetch beyond those it has seen, and a lost connection is noticed within three heartbeats. So
 * only the last acknowledged messages can come back. When one does, it is acknowledged again without another run.
 *
 * A message is recognised by its id, attempt, body, headers and timestamp, and only when its id came on no other message but its own
 * copies for other attempts: one that merely looks the same was perhaps handled by no one, and must run. While nothing is lost,
 * nothing is compared or hashed.
 */
export class DuplicateFilter {
  readonly #settings: DuplicateFilterSettings;
  readonly #acked: (Delivery | undefined)[];
  readonly #ackedAt: Float64Array;
  #next = 0;
  #oldest = 0;
  #keptBytes = 0;
  readonly #ids = new Array<string | undefined>(MAX_KNOWN).fill(undefined);
  readonly #attempts = new Float64Array(MAX_KNOWN);
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
    if (idOf(delivery) === undefined) return;
    remember(this.#batches.at(-1) ?? this.#newBatch([]), delivery);
  }

  /** The channel is lost: messages that were acknowledged last may be redelivered, and unacknowledged ones will be. */
  channelLost(unsettled: Iterable<Delivery>): void {
    const { clock, windowMs } = this.#settings;
    const since = clock.now() - windowMs;
    const recent = this.#acked.filter((it, at) => it && (this.#ackedAt[at] as number) >= since);
    const acked = recent as readonly Delivery[];
    const batch = this.#newBatch([...acked, ...unsettled]);
    for (const delivery of acked) remember(batch, delivery);
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
    const attempt = attemptOf(delivery);
    if (!delivery.redelivered || !this.#isKnown(id, attempt)) this.#note(id, attempt);
    if (this.#batches.length === 0) return false;
    this.#expire();
    if (!delivery.redelivered) {
      this.#forget(id, attempt);
      return false;
    }
    const known = this.#batches.find(({ handled }) => handled.get(id)?.has(attempt))?.handled.get(id);
    return known?.get(attempt) === printOf(delivery) && known.delete(attempt);
  }

  #isKnown(id: string, attempt: number): boolean {
    for (let at = this.#ids.indexOf(id); at >= 0; at = this.#ids.indexOf(id, at + 1))
      if (this.#attempts[at] === attempt) return true;
    return false;
  }

  #note(id: string, attempt: number): void {
    this.#ids[this.#nextId] = id;
    this.#attempts[this.#nextId] = attempt;
    this.#nextId = (this.#nextId + 1) % MAX_KNOWN;
  }

  /**
   * This message has come for the first time, so it is none of the handled ones. A redelivery of it, or of its copies for later
   * attempts, would look like a handled message: forgets the handled messages that it could be taken for.
   */
  #forget(id: string, attempt: number): void {
    for (const { handled } of this.#batches) {
      const known = handled.get(id);
      for (const it of known?.keys() ?? []) if (it >= attempt) known?.delete(it);
    }
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

  /** @param concerned - the last acknowledged messages, and the unacknowledged ones */
  #newBatch(concerned: readonly Delivery[]): Batch {
    const concernedIds = concerned.map(idOf);
    const concernedAttempts = concerned.map(attemptOf);
    const ambiguous = new Set([
      ...repeated(concernedIds, concernedAttempts),
      ...repeated(this.#ids, this.#attempts),
    ]);
    const batch: Batch = { handled: new Map(), ambiguous, expiresAt: Number.POSITIVE_INFINITY };
    this.#batches.push(batch);
    if (this.#batches.length > MAX_BATCHES) this.#batches.shift();
    return batch;
  }
}

function remember({ ambiguous, handled }: Batch, delivery: Delivery): void {
  const id = idOf(delivery) as string;
  if (ambiguous.has(id)) return;
  const known = handled.get(id) ?? new Map<number, string>();
  handled.set(id, known.set(attemptOf(delivery), printOf(delivery)));
}

function idOf({ properties }: Delivery): string | undefined {
  const { messageId } = properties;
  return typeof messageId === 'string' && messageId !== '' ? messageId : undefined;
}

/** The copy for another attempt has the id of its original, and the number of its attempt. */
function attemptOf({ properties: { headers } }: Delivery): number {
  return headers ? carriedAttempt(headers as Readonly<Record<string, unknown>>) : 0;
}

/** The ids that came several times for one attempt. */
function repeated(ids: readonly (string | undefined)[], attempts: ArrayLike<number>): string[] {
  const seen = new Map<string, Set<number>>();
  return ids.filter((id, at): id is string => {
    if (id === undefined) return false;
    const attempt = attempts[at] as number;
    const known = seen.get(id);
    if (!known) seen.set(id, new Set([attempt]));
    else if (known.has(attempt)) return true;
    else known.add(attempt);
    return false;
  });
}

/** A fingerprint of a message without its id, whatever headers the server has added since. */
function printOf({ content, properties }: Delivery): string {
  const about = JSON.stringify([ownHeaders(properties.headers), properties.timestamp]);
  return createHash('sha256').update(about).update('\n').update(content).digest('base64');
}
