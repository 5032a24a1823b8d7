import type { TracePayloads } from './diagnostics/payloads.js';
import type { Issue } from './errors.js';
import type { Role } from './transport/port.js';

/** The events of a broker and their payloads, by name. */
export interface BrokerEvents {
  /** All connections in use are open: emitted once at the start, and after each outage. */
  connected: { readonly address: string };
  /** A connection was lost: emitted once per outage. The next attempt follows after `delayMs`. */
  disconnected: { readonly connection: Role; readonly error: Error; readonly delayMs: number };
  /** An attempt to connect failed. The next attempt follows after `delayMs`. */
  'connect-failed': {
    readonly connection: Role;
    readonly error: Error;
    readonly attempt: number;
    readonly delayMs: number;
  };
  /** The server has raised a resource alarm: sends wait, consumers continue. */
  blocked: { readonly reason: string };
  /** The resource alarm is over. */
  unblocked: Record<string, never>;
  /** A consumer is consuming again after it lost its channel, connection or queue. */
  'consumer-recovered': {
    readonly queue: string;
    readonly downMs: number;
    /** Why the consumer had stopped, such as a lost connection or a deleted queue. */
    readonly reason: string;
  };
  /** A consumer failed permanently: it is closed, and its queue has one consumer fewer. */
  'consumer-failed': { readonly queue: string; readonly error: Error };
  /**
   * A queue or exchange that had disappeared was declared again: noticed when the server cancels a consumer or takes no message, and
   * not after a reconnect. This broker's consumers are bound to the exchange again.
   */
  'topology-restored': { readonly kind: 'queue' | 'exchange'; readonly name: string };
  /** A message could not be decoded or does not match the schema. The handler did not see it. */
  'invalid-message': {
    readonly queue: string;
    readonly messageId: string | undefined;
    readonly issues: readonly Issue[];
  };
  /** A handler threw, rejected or took too long. */
  'handler-error': {
    readonly queue: string;
    readonly messageId: string | undefined;
    readonly attempt: number;
    readonly error: unknown;
    /** Present when the handler was told to stop: the delivery was lost, or the consumer was closed. */
    readonly aborted?: true;
  };
  /** A message is in its dead-letter queue, or was dropped because there is none. */
  'dead-lettered': {
    readonly queue: string;
    /** Undefined with `deadLetter: false`: the message then goes to the dead-letter target that the server knows, if any. */
    readonly deadLetterQueue: string | undefined;
    readonly messageId: string | undefined;
    readonly attempt: number;
    readonly error: unknown;
  };
  /**
   * A dead letter could not be published. Its message is kept, the handler does not run again, and publishing is retried
   * after `delayMs`.
   */
  'dead-letter-failed': {
    readonly queue: string;
    readonly deadLetterQueue: string;
    readonly messageId: string | undefined;
    readonly attempt: number;
    /** Why the dead letter could not be published. */
    readonly error: Error;
    readonly delayMs: number;
  };
  /** A row of an outbox cannot be sent in the present state of things. The relay still retries it. */
  'outbox-stuck': {
    readonly table: string;
    readonly id: string;
    readonly messageId: string;
    /** Such as `queue:emails`. */
    readonly contract: string;
    /** How often sending it has failed. */
    readonly attempts: number;
    readonly error: Error;
  };
  /** The inbox or the idempotency store has seen this message before. It was acknowledged, and its handler did not run. */
  duplicate: { readonly queue: string; readonly messageId: string | undefined };
  /** A message has no id, so an inbox or an idempotency store cannot detect duplicates of it. Emitted once per consumer. */
  'no-message-id': { readonly queue: string };
}

/** The payloads of the plain channels: the events of `broker.on`, with the broker's name. */
export type EventPayloads = {
  [E in keyof BrokerEvents as `leveret:${E}`]: BrokerEvents[E] & { readonly broker: string | undefined };
};

/**
 * Every diagnostics channel of Leveret, with the type of what is published on it: the tracing channels under the names that
 * `tracingChannel()` takes, their five events under the names of the channels themselves, and the events of brokers.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel';
 * import type { DiagnosticsChannels } from 'leveret';
 *
 * subscribe('tracing:leveret:process:error', (payload) => {
 *   const { queue, error } = payload as DiagnosticsChannels['leveret:process'];
 *   console.error(queue, error);
 * });
 * ```
 */
export type DiagnosticsChannels = TracePayloads &
  EventPayloads & {
    [K in keyof TracePayloads as `tracing:${K}:${'start' | 'end' | 'asyncStart' | 'asyncEnd' | 'error'}`]: TracePayloads[K];
  };

/** The name of an event of a broker. */
export type BrokerEvent = keyof BrokerEvents;

/** A listener of one event. */
export type BrokerListener<E extends BrokerEvent> = (event: BrokerEvents[E]) => void;

/** Log functions in the shape of pino and of most loggers: first an object, then a text. */
export interface Logger {
  /** For debugging Leveret itself. */
  debug(details: object, message: string): void;
  /** Connected again, recovered, unblocked. */
  info(details: object, message: string): void;
  /** A lost connection, an alarm, a failed message. The error is under `err`. */
  warn(details: object, message: string): void;
  /** A mistake in the program around Leveret, such as a listener that throws. */
  error(details: object, message: string): void;
}

/** Discards everything. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** @internal The level at which each event is logged. */
export const LEVELS: Readonly<Record<BrokerEvent, keyof Logger>> = {
  connected: 'info',
  disconnected: 'warn',
  'connect-failed': 'warn',
  blocked: 'warn',
  unblocked: 'info',
  'consumer-recovered': 'info',
  'consumer-failed': 'error',
  'topology-restored': 'warn',
  'invalid-message': 'warn',
  'handler-error': 'warn',
  'dead-lettered': 'warn',
  'dead-letter-failed': 'warn',
  'outbox-stuck': 'warn',
  duplicate: 'info',
  'no-message-id': 'warn',
};
