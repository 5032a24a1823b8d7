/**
 * An idempotency store on Redis, with the user's own client.
 *
 * @packageDocumentation
 */

export { type RedisStoreOptions, redisStore } from './store.js';
