import type { ConfirmWindow } from '../../transport/confirm-window.js';
import type { Clock } from '../../util/clock.js';
import { Condition } from '../../util/condition.js';
import { Deadlines } from '../../util/deadlines.js';
import type { OwnId } from './ids-in-flight.js';
import { PendingList, type PendingSend } from './pending-send.js';
import type { Preparing } from './publish-preparation.js';

/** The most bytes that may wait to be sent. */
const MAX_BUFFERED_BYTES = 64 * 1024 * 1024;

/** The reason to set sends aside: the name of a queue that refuses them, a declaration that they need, or an id in flight. */
type WaitedFor = string | Preparing | OwnId;

/** All sends that are not settled: keeps those that wait in order, and settles each. */
export class PendingSends {
  readonly #waiting = new PendingList();
  readonly #deadlines: Deadlines<PendingSend>;
  readonly #clock: Clock;
  readonly #onIdle: () => void;
  /** Sends that are set aside, by what they wait for. */
  readonly #held = new Map<WaitedFor, PendingList>();
  #count = 0;
  #added = 0;
  readonly #drained = new Condition();

  /** @param onIdle - called when the last send was settled */
  constructor(clock: Clock, onExpired: (pending: PendingSend) => void, onIdle: () => void = () => {}) {
    this.#clock = clock;
    this.#onIdle = onIdle;
    this.#deadlines = new Deadlines(clock, onExpired);
  }

  /** The number of sends that are not settled. */
  get count(): number {
    return this.#count;
  }

  /** The send that has waited longest. */
  get next(): PendingSend | undefined {
    return this.#waiting.first;
  }

  /** True when one more send may wait. The first one always may, whatever its size. */
  hasRoom(pending: PendingSend, maxBuffered: number): boolean {
    let { length, sizeBytes } = this.#waiting;
    for (const held of this.#held.values()) {
      length += held.length;
      sizeBytes += held.sizeBytes;
    }
    return length === 0 || (length < maxBuffered && sizeBytes + pending.sizeBytes <= MAX_BUFFERED_BYTES);
  }

  /** Adds a new send, which waits until its deadline at most. */
  add(pending: PendingSend): void {
    this.#count++;
    pending.order = ++this.#added;
    this.#waiting.push(pending);
    this.#deadlines.add(pending, this.#clock.now() + pending.timeoutMs);
  }

  /** Marks the send as published. */
  published(pending: PendingSend): void {
    this.#waiting.remove(pending);
    pending.phase = 'in-flight';
    pending.handedOver = true;
  }

  /** Puts the sends back at the head of the waiting ones, in their order. */
  waitAgain(pendings: readonly PendingSend[]): void {
    for (const pending of pendings.toReversed()) {
      pending.phase = 'waiting';
      pending.returned = undefined;
      this.#waiting.unshift(pending);
    }
  }

  /** Sets these sends aside, together with others that wait for the same, until they are released. */
  setAside(waitedFor: WaitedFor, pendings: readonly PendingSend[]): void {
    const held = this.#held.get(waitedFor) ?? new PendingList();
    this.#held.set(waitedFor, held);
    for (const pending of pendings) {
      pending.list?.remove(pending);
      pending.phase = 'waiting';
      pending.returned = undefined;
      held.push(pending);
    }
  }

  /** Releases the sends that were set aside, ahead of all others and in the order in which they were added. Returns them. */
  release(waitedFor: WaitedFor): readonly PendingSend[] {
    const held = (this.#held.get(waitedFor)?.drain() ?? []).sort((a, b) => a.order - b.order);
    this.#held.delete(waitedFor);
    this.waitAgain(held);
    return held;
  }

  /** Puts back the sends that are published but not confirmed, and returns them. */
  takeBack(window: ConfirmWindow<PendingSend>): readonly PendingSend[] {
    const unconfirmed = window.drain().filter((pending) => pending.phase !== 'settled');
    this.waitAgain(unconfirmed);
    return unconfirmed;
  }

  succeed(pending: PendingSend): void {
    this.#settle(pending);
    pending.resolve(pending.receipt);
  }

  fail(pending: PendingSend, error: unknown): void {
    pending.list?.remove(pending);
    this.#settle(pending);
    pending.reject(error);
  }

  /** Fails every waiting send that matches. */
  failWaiting(toError: (pending: PendingSend) => unknown, matches = (_: PendingSend) => true): void {
    for (const { first } of [this.#waiting, ...this.#held.values()]) {
      for (let pending = first, next = pending?.next; pending; pending = next, next = pending?.next) {
        if (matches(pending)) this.fail(pending, toError(pending));
      }
    }
  }

  /** Resolves when every send is settled. */
  async drained(): Promise<void> {
    if (this.#count > 0) await this.#drained.wait();
  }

  #settle(pending: PendingSend): void {
    pending.settled();
    this.#deadlines.remove(pending);
    this.#count--;
    if (this.#count === 0) {
      this.#deadlines.clear();
      this.#drained.notify();
      this.#onIdle();
    }
  }
}
