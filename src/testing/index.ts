/**
 * A broker for tests: no server, and time that moves when the test says so.
 *
 * @packageDocumentation
 */

export type { Outcome } from '../broker/test-hooks.js';
export type { ServerVersion } from '../transport/memory/version.js';
export type { Duration } from './duration.js';
export type { DeadLetteredMessage, HandledMessage, SentMessage } from './records.js';
export { TestBroker, type TestBrokerOptions } from './test-broker.js';
