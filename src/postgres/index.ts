/**
 * Outbox, inbox and idempotency store on PostgreSQL, with the user's own client.
 *
 * @packageDocumentation
 */

export { type PostgresInboxOptions, postgresInbox } from './inbox.js';
export { type PostgresOutboxOptions, postgresOutbox } from './outbox.js';
export { type PostgresStoreOptions, postgresStore } from './store.js';
export type { TableOptions } from './table.js';
export type { TransactionOf } from './transaction-of.js';
