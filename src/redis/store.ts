import { randomUUID } from 'node:crypto';
import type { ClaimResult, IdempotencyStore } from '../idempotency/store.js';
import { checkOptions, expectString } from '../util/checks.js';
import { type RunScript, scriptRunnerOf } from './script-runner.js';

/** The options of {@link redisStore}. */
export interface RedisStoreOptions {
  /** The prefix of every key. @defaultValue 'leveret:' */
  readonly prefix?: string | undefined;
}

/**
 * An idempotency store on Redis. Every key expires by itself. The client is the user's, and stays open.
 *
 * @param client - one of node-redis (4 and later) or ioredis (5), also of a cluster
 * @throws ConfigurationError for a client of another shape, or an unknown option
 *
 * @example
 * ```ts
 * broker.consumer(emails, ({ body }) => deliver(body), { idempotency: { store: redisStore(client) } });
 * ```
 */
export function redisStore(client: object, options: RedisStoreOptions = {}): IdempotencyStore {
  checkOptions('redisStore', options, { prefix: expectString });
  return new RedisStore(scriptRunnerOf(client), options.prefix ?? 'leveret:');
}

/** A claim is stored as its token, so no token may have this value. */
const DONE = 'done';

/** Redis runs each script atomically. */
const SCRIPTS = {
  claim: `
    local value = redis.call('get', KEYS[1])
    if value == '${DONE}' then return 'done' end
    if value then return 'busy' end
    redis.call('set', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 'claimed'`,
  renew: `
    if redis.call('get', KEYS[1]) ~= ARGV[1] then return 'lost' end
    redis.call('pexpire', KEYS[1], ARGV[2])
    return 'ok'`,
  done: `
    if redis.call('get', KEYS[1]) ~= ARGV[1] then return 'lost' end
    redis.call('set', KEYS[1], '${DONE}', 'PX', ARGV[2])
    return 'ok'`,
  release: `
    if redis.call('get', KEYS[1]) ~= ARGV[1] then return 'lost' end
    redis.call('del', KEYS[1])
    return 'ok'`,
} as const;

/** The store behind {@link redisStore}. */
class RedisStore implements IdempotencyStore {
  readonly #run: RunScript;
  readonly #prefix: string;

  constructor(run: RunScript, prefix: string) {
    this.#run = run;
    this.#prefix = prefix;
  }

  async claim(key: string, leaseMs: number): Promise<ClaimResult> {
    const token = randomUUID();
    const answer = await this.#ask('claim', key, token, leaseMs);
    return answer === 'done' || answer === 'busy' ? answer : { token };
  }

  async renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return (await this.#ask('renew', key, token, leaseMs)) === 'ok';
  }

  async done(key: string, token: string, ttlMs: number): Promise<boolean> {
    return (await this.#ask('done', key, token, ttlMs)) === 'ok';
  }

  async release(key: string, token: string): Promise<boolean> {
    return (await this.#ask('release', key, token)) === 'ok';
  }

  async #ask(script: keyof typeof SCRIPTS, key: string, token: string, ms?: number): Promise<string> {
    // The value of a done key is never a valid token.
    if (token === DONE) return 'lost';
    const args = ms === undefined ? [token] : [token, `${Math.max(1, Math.ceil(ms))}`];
    return String(await this.#run(SCRIPTS[script], `${this.#prefix}${key}`, args));
  }
}
