import type { DelayNeeds } from '../../delay/delay-declarer.js';
import type { OutgoingMessage } from '../../transport/port.js';
import type { Deadlined } from '../../util/deadlines.js';
import { onAbort } from '../../util/on-abort.js';

/** The result of a send. */
export interface Receipt {
  /** The message's id, which stays the same through every attempt and in the dead-letter queue. */
  readonly messageId: string;
}

/** The options of `Publisher.add`. */
export interface AddOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** The caller chose the id, so it may not be unique. */
  readonly hasOwnId: boolean;
  /** When the message is to be delivered, on the monotonic clock; undefined or past: at once. */
  readonly dueAt?: number | undefined;
  /** The content, if the message has to wait for it; undefined: the message has it. */
  readonly pendingContent?: PendingContent | undefined;
  /** Told when the message is settled. */
  readonly owner?: SendOwner | undefined;
}

/** The producer that sent a message. */
export interface SendOwner {
  settled(): void;
}

/** The content of a message that has to wait. The message keeps its place, so that later messages cannot overtake it. */
export interface PendingContent {
  /** Resolves with the body when the message can be published. */
  readonly content: Promise<Buffer>;
  /** The memory that the body takes meanwhile. */
  readonly sizeBytes: number;
  /** The error text if the time is over now, such as `The schema of the queue 'emails' did not finish`. */
  readonly waitsFor: () => string;
}

/** Why a send that waits for consumers to be set up has timed out. */
export function notSetUp(target: string): string {
  return `The consumers that this broker made before on ${target} were not set up`;
}

/**
 * One send on its way.
 *
 * | phase     | where it is                                                          | next                                                             |
 * |-----------|----------------------------------------------------------------------|------------------------------------------------------------------|
 * | waiting   | in the list of those that wait, or set aside for what it waits for     | in-flight (published), settled (deadline, abort, close, refusal) |
 * | in-flight | in the confirm window                                                | waiting (channel lost or replaced, queue declared again, refused for a moment), settled (any outcome) |
 * | settled   | nowhere, or still in the window until the server has answered for it | none                                                             |
 */
export class PendingSend implements Deadlined {
  message: OutgoingMessage;
  readonly receipt: Receipt;
  readonly timeoutMs: number;
  readonly resolve: (receipt: Receipt) => void;
  readonly reject: (error: unknown) => void;
  /** The approximate memory use: the body and what is kept around it. */
  readonly sizeBytes: number;
  phase: 'waiting' | 'in-flight' | 'settled' = 'waiting';
  /** The content that the message waits for; undefined: the message has it. */
  pendingContent: PendingContent | undefined;
  /** The message's place in the order of the calls. */
  order = 0;
  /** The needs of its delay, found when the message was prepared; undefined: it has no delay. */
  delay: DelayNeeds | undefined;
  readonly owner: SendOwner | undefined;
  /** The list in which the message waits. */
  list: PendingList | undefined;
  /** True once the message was written to a channel: from then on the server may have it. */
  handedOver = false;
  /** The server's words when the message came back as unroutable; the confirm that follows settles it. */
  returned: string | undefined;
  /** The message's queue was declared again for it once. */
  redeclared = false;
  /** The server has refused the message. */
  wasRefused = false;
  /** How many confirms had arrived when the message was published. */
  publishedAfter = 0;
  /** The caller chose the id, so it may not be unique. */
  readonly hasOwnId: boolean;
  /** When the message is to be delivered; undefined: at once. */
  readonly dueAt: number | undefined;
  #detach: (() => void) | undefined;
  bucket: Deadlined['bucket'];
  slot = 0;
  previous: PendingSend | undefined;
  next: PendingSend | undefined;

  constructor(
    message: OutgoingMessage,
    receipt: Receipt,
    options: AddOptions,
    resolve: (receipt: Receipt) => void,
    reject: (error: unknown) => void,
  ) {
    const { timeoutMs, pendingContent, owner, hasOwnId, dueAt } = options;
    this.message = message;
    this.receipt = receipt;
    this.timeoutMs = timeoutMs;
    this.resolve = resolve;
    this.reject = reject;
    this.pendingContent = pendingContent;
    this.owner = owner;
    this.hasOwnId = hasOwnId;
    this.dueAt = dueAt;
    this.sizeBytes = (pendingContent?.sizeBytes ?? message.content.length) + 512;
  }

  /** Rejects a send that was not added. */
  refuse(reason: unknown): void {
    this.settled();
    this.reject(reason);
  }

  /** Calls back once when the signal aborts, unless the send is settled before. */
  abortWith(signal: AbortSignal, abort: () => void): void {
    this.#detach = onAbort(signal, abort);
  }

  settled(): void {
    this.phase = 'settled';
    this.#detach?.();
    this.owner?.settled();
  }
}

/** The waiting sends, in order. Any of them can be removed in O(1), because deadlines and aborts come in any order. */
export class PendingList {
  #first: PendingSend | undefined;
  #last: PendingSend | undefined;
  #length = 0;
  #sizeBytes = 0;

  get first(): PendingSend | undefined {
    return this.#first;
  }

  get length(): number {
    return this.#length;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  push(pending: PendingSend): void {
    pending.list = this;
    pending.previous = this.#last;
    pending.next = undefined;
    if (this.#last) this.#last.next = pending;
    else this.#first = pending;
    this.#last = pending;
    this.#count(pending, 1);
  }

  unshift(pending: PendingSend): void {
    pending.list = this;
    pending.previous = undefined;
    pending.next = this.#first;
    if (this.#first) this.#first.previous = pending;
    else this.#last = pending;
    this.#first = pending;
    this.#count(pending, 1);
  }

  remove(pending: PendingSend): void {
    pending.list = undefined;
    if (pending.previous) pending.previous.next = pending.next;
    else this.#first = pending.next;
    if (pending.next) pending.next.previous = pending.previous;
    else this.#last = pending.previous;
    pending.previous = undefined;
    pending.next = undefined;
    this.#count(pending, -1);
  }

  /** Removes all sends, in order. */
  drain(): PendingSend[] {
    const all: PendingSend[] = [];
    for (let pending = this.#first; pending; pending = this.#first) {
      this.remove(pending);
      all.push(pending);
    }
    return all;
  }

  #count(pending: PendingSend, sign: 1 | -1): void {
    this.#length += sign;
    this.#sizeBytes += sign * pending.sizeBytes;
  }
}
