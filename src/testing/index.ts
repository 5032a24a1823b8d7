/**
 * A broker for tests: no server, and time that moves when the test says so.
 *
 * @packageDocumentation
 */

export type { Outcome } from '../consumer/settlement/outcome.js';
export type { ServerVersion } from '../transport/memory/version.js';
export type { Duration } from './duration.js';
export { type MemoryDatabase, type MemoryTransaction, memoryDatabase } from './memory-database.js';
export { memoryInbox } from './memory-inbox.js';
export { type MemoryOutboxOptions, memoryOutbox } from './memory-outbox.js';
export type { DeadLetteredMessage, HandledMessage, SentMessage } from './records.js';
export { TestBroker, type TestBrokerOptions } from './test-broker.js';
export { testStore } from './test-store.js';
