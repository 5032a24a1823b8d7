/** What `claim` gives: the token of the claim, or why there is none. */
export type ClaimResult = { readonly token: string } | 'busy' | 'done';

/**
 * Remembers which messages were handled, outside the transaction of any database. `memoryStore()`, `postgresStore(db)` and
 * `redisStore(client)` are such stores; write another one and check it with `testStore` of `leveret/testing`.
 */
export interface IdempotencyStore {
  /**
   * Claims a key for `leaseMs`. Atomic: of many that ask at once, one gets a token. `'busy'`: another one has it; `'done'`: its
   * message was handled. A lease that has ended is free again.
   */
  claim(key: string, leaseMs: number): Promise<ClaimResult>;
  /** Lets the lease end `leaseMs` from now. False, and nothing changed, when the claim is no longer this token's. */
  renew(key: string, token: string, leaseMs: number): Promise<boolean>;
  /** Remembers the key as done for `ttlMs`. False, and nothing changed, when the claim is no longer this token's. */
  done(key: string, token: string, ttlMs: number): Promise<boolean>;
  /** Frees the key. False, and nothing changed, when the claim is no longer this token's. */
  release(key: string, token: string): Promise<boolean>;
}

/** The option `idempotency` of a consumer. */
export interface IdempotencyOptions {
  /** Where handled messages are remembered. */
  readonly store: IdempotencyStore;
  /** How long a handled message is remembered, in milliseconds, 1 000 or more. @defaultValue 86400000 (24 hours) */
  readonly ttlMs?: number | undefined;
  /**
   * How long a claim lasts without being renewed, in milliseconds, 1 000 to 600 000: a crash holds its message back for so
   * long. @defaultValue 60000
   */
  readonly leaseMs?: number | undefined;
}
