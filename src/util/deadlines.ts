import type { Clock, Timer } from './clock.js';

/** An item with a deadline, tracked by {@link Deadlines}, which owns these fields. */
export interface Deadlined {
  /** @internal the bucket that holds it */
  bucket: Bucket | undefined;
  /** @internal its place in the bucket */
  slot: number;
}

interface Bucket {
  readonly tick: number;
  readonly items: Deadlined[];
}

/** The granularity of deadlines: they fire at most this much late, and never early. */
const TICK_MS = 20;

/**
 * Many deadlines behind one timer. Adding and removing take O(1) and create no timer, because a timer per message would cost
 * more than everything else that is kept about the message.
 */
export class Deadlines<T extends Deadlined> {
  readonly #clock: Clock;
  readonly #onExpired: (item: T) => void;
  readonly #buckets = new Map<number, Bucket>();
  /**
   * The newest bucket. It stays when it is empty, because a `Map` that is filled and emptied for each item allocates a new table again
   * and again, and its old tables live until the next full collection.
   */
  #latest: Bucket | undefined;
  #timer: Timer | undefined;
  #timerTick = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, onExpired: (item: T) => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** Calls `onExpired(item)` once the clock has passed `at`, unless the item is removed first. */
  add(item: T, at: number): void {
    if (at === Number.POSITIVE_INFINITY) return;
    const tick = Math.ceil(at / TICK_MS);
    const bucket = this.#latest?.tick === tick ? this.#latest : this.#bucketOf(tick);
    if (tick < this.#timerTick) this.#arm(tick);
    item.bucket = bucket;
    item.slot = bucket.items.push(item) - 1;
  }

  /** Removes the item. Does nothing if it is not tracked. */
  remove(item: T): void {
    const { bucket, slot } = item;
    if (!bucket) return;
    item.bucket = undefined;
    const last = bucket.items.pop() as Deadlined;
    if (last !== item) {
      bucket.items[slot] = last;
      last.slot = slot;
    } else if (bucket !== this.#latest) {
      this.#dropEmpty(bucket);
    }
  }

  /** Removes all items and disarms the timer. */
  clear(): void {
    this.#buckets.clear();
    this.#latest = undefined;
    this.#disarm();
  }

  #bucketOf(tick: number): Bucket {
    const known = this.#buckets.get(tick);
    if (known) return known;
    const bucket: Bucket = { tick, items: [] };
    this.#buckets.set(tick, bucket);
    const before = this.#latest;
    this.#latest = bucket;
    if (before) this.#dropEmpty(before);
    return bucket;
  }

  #dropEmpty(bucket: Bucket): void {
    // After a `clear`, another bucket may have its tick.
    if (bucket.items.length === 0 && this.#buckets.get(bucket.tick) === bucket)
      this.#buckets.delete(bucket.tick);
  }

  #arm(tick: number): void {
    this.#disarm();
    this.#timerTick = tick;
    const delayMs = Math.max(1, Math.ceil(tick * TICK_MS - this.#clock.now()));
    this.#timer = this.#clock.setTimeout(() => this.#fire(), delayMs);
    // Every item with a deadline also holds a connection, or the timer of the next attempt, and these keep the process alive.
    this.#timer.unref();
  }

  #disarm(): void {
    if (this.#timer) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerTick = Number.POSITIVE_INFINITY;
  }

  #fire(): void {
    this.#disarm();
    const now = this.#clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const bucket of this.#buckets.values()) {
      if (bucket.tick * TICK_MS > now) {
        if (bucket.tick < next && bucket.items.length > 0) next = bucket.tick;
        continue;
      }
      if (bucket === this.#latest) {
        this.#latest = undefined;
        this.#dropEmpty(bucket);
      }
      for (let item = bucket.items.at(-1); item; item = bucket.items.at(-1)) {
        this.remove(item as T);
        this.#onExpired(item as T);
      }
    }
    if (next < this.#timerTick) this.#arm(next);
  }
}
