import type { QueueDeclaration } from '../port.js';
import { typeOf } from './queue-arguments.js';
import type { Behaviour } from './version.js';

/** A full quorum queue accepts messages again when it shrinks to this share of its limit. */
const TAKES_AGAIN_AT = 0.8;

/** The limits in the arguments of a queue. */
export class QueueLimits {
  readonly expiresMs: number | undefined;
  readonly maxPriority: number;
  readonly maxBytes: number | undefined;
  readonly overflow: string;
  /** Undefined: unlimited. */
  readonly deliveryLimit: number | undefined;
  readonly #maxLength: number | undefined;
  readonly #ttlMs: number | undefined;
  readonly #isQuorum: boolean;
  #isRefusing = false;

  constructor(declaration: QueueDeclaration, behaviour: Behaviour) {
    const { arguments: args } = declaration;
    const number = (name: string) => args[name] as number | undefined;
    this.#isQuorum = typeOf(declaration) === 'quorum';
    this.expiresMs = number('x-expires');
    this.maxPriority = number('x-max-priority') ?? 0;
    this.#maxLength = number('x-max-length');
    this.maxBytes = number('x-max-length-bytes');
    this.#ttlMs = number('x-message-ttl');
    this.overflow = (args['x-overflow'] as string | undefined) ?? 'drop-head';
    this.deliveryLimit = this.#isQuorum ? limitOf(number('x-delivery-limit'), behaviour) : undefined;
  }

  /** The TTL of a message in milliseconds: the shorter one of the queue's and its own. */
  ttlOf(expiration: string | undefined): number | undefined {
    if (expiration === undefined) return this.#ttlMs;
    return Math.min(Number(expiration), this.#ttlMs ?? Number.POSITIVE_INFINITY);
  }

  /** True if a queue of so many messages refuses another one, rather than dropping its oldest message. */
  refuses(count: number, bytes: number): boolean {
    if (this.overflow === 'drop-head') return false;
    const isOver = over(count, this.#maxLength) || over(bytes, this.maxBytes);
    if (!this.#isQuorum) return isOver;
    // Once a quorum queue is full, it waits for more than one place.
    if (isOver) this.#isRefusing = true;
    else if (!over(count, soft(this.#maxLength)) && !over(bytes, soft(this.maxBytes)))
      this.#isRefusing = false;
    return this.#isRefusing;
  }

  /** True if the queue drops its oldest message. */
  overflows(ready: number, readyBytes: number): boolean {
    if (this.overflow !== 'drop-head') return false;
    return over(ready, this.#maxLength) || over(readyBytes, this.maxBytes);
  }
}

function limitOf(given: number | undefined, behaviour: Behaviour): number | undefined {
  if (typeof given !== 'number') return behaviour.defaultDeliveryLimit;
  if (given >= 0) return given;
  return behaviour.negativeLimitIsNone ? undefined : 0;
}

function soft(limit: number | undefined): number | undefined {
  return limit === undefined ? undefined : Math.floor(limit * TAKES_AGAIN_AT);
}

function over(value: number, limit: number | undefined): boolean {
  return limit !== undefined && value > limit;
}
