/** The delays between attempts. */
export interface BackoffPolicy {
  /** The upper bound of the first delay, in milliseconds. */
  readonly initialDelayMs: number;
  /** If the address did not respond: another attempt is made within this time. */
  readonly refusedMaxDelayMs: number;
  /** If a server responded and then failed: the upper bound of the delay. */
  readonly maxDelayMs: number;
  readonly factor: number;
}

/** The delays before a closed or refused channel is opened again on an open connection. */
export const channelBackoff: BackoffPolicy = {
  initialDelayMs: 100,
  refusedMaxDelayMs: 1_000,
  maxDelayMs: 5_000,
  factor: 2,
};

/** After this long without a failure, the next failure counts as the first. */
const STABLE_MS = 30_000;

/**
 * Delays with full jitter: each is drawn between 0 and a bound that grows with the failures, so that the clients of one
 * server do not return in step.
 *
 * Two kinds of failures are counted separately. A refused port costs the server nothing and is tried again soon. A server
 * that accepts and then fails (a wrong password, a message that breaks the decoder) gets longer and longer pauses, until it
 * has been stable for 30 s, or was down in between: then it has been restarted.
 */
export class Backoff {
  readonly #policy: BackoffPolicy;
  readonly #random: () => number;
  #refused = 0;
  #failed = 0;

  constructor(policy: BackoffPolicy, random: () => number) {
    this.#policy = policy;
    this.#random = random;
  }

  /** The delay after an attempt that failed. */
  afterFailure({ reachedServer }: { readonly reachedServer: boolean }): number {
    if (reachedServer) return this.#draw(this.#failed++, this.#policy.maxDelayMs);
    this.#failed = 0;
    // Half of the promised time; the other half is left to the attempt itself.
    return this.#draw(this.#refused++, this.#policy.refusedMaxDelayMs / 2);
  }

  /** The delay after the loss of something that had worked for `openForMs`. */
  afterLoss(openForMs: number): number {
    this.#refused = 0;
    if (openForMs >= STABLE_MS) this.#failed = 0;
    return this.#draw(this.#failed++, this.#policy.maxDelayMs);
  }

  #draw(failures: number, capMs: number): number {
    const bound = Math.min(capMs, this.#policy.initialDelayMs * this.#policy.factor ** failures);
    return Math.floor(this.#random() * bound);
  }
}
