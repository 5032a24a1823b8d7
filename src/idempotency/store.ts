/** The result of `claim`: a token, or why there is none. */
export type ClaimResult = { readonly token: string } | 'busy' | 'done';

/**
 * Remembers which messages were handled, outside of any database transaction. `memoryStore()`, `postgresStore(db)` and
 * `redisStore(client)` are such stores. You can write your own and check it with `testStore` from `leveret/testing`.
 */
export interface IdempotencyStore {
  /**
   * Claims a key for `leaseMs`. Atomic: of many simultaneous calls, one gets a token. `'busy'`: another claim holds the key;
   * `'done'`: its message was handled. A key whose lease has ended is free again.
   */
  claim(key: string, leaseMs: number): Promise<ClaimResult>;
  /** Extends the lease to `leaseMs` from now. Returns false, and changes nothing, if the token no longer holds the claim. */
  renew(key: string, token: string, leaseMs: number): Promise<boolean>;
  /** Marks the key as done for `ttlMs`. Returns false, and changes nothing, if the token no longer holds the claim. */
  done(key: string, token: string, ttlMs: number): Promise<boolean>;
  /** Releases the key. Returns false, and changes nothing, if the token no longer holds the claim. */
  release(key: string, token: string): Promise<boolean>;
}

/** The option `idempotency` of a consumer. */
export interface IdempotencyOptions {
  /** The store that remembers handled messages. */
  readonly store: IdempotencyStore;
  /** How long a handled message is remembered, in milliseconds, 1 000 or more. @defaultValue 86400000 (24 hours) */
  readonly ttlMs?: number | undefined;
  /**
   * How long a claim lasts without renewal, in milliseconds, 1 000 to 600 000: after a crash, the message waits for this
   * long. @defaultValue 60000
   */
  readonly leaseMs?: number | undefined;
}
