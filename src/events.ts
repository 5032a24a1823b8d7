import { isThenable } from './contracts/body/schema.js';
import { EventChannels } from './diagnostics/event-channels.js';
import type { TracePayloads } from './diagnostics/payloads.js';
import type { Issue } from './errors.js';
import { ConfigurationError } from './errors.js';
import type { Role } from './transport/port.js';
import { show } from './util/checks.js';

/** What a broker tells its listeners, by the event's name. */
export interface BrokerEvents {
  /** Every connection that is needed is open: once at the start, and after each outage. */
  connected: { readonly address: string };
  /** A connection was lost: once per outage. The next attempt follows after `delayMs`. */
  disconnected: { readonly connection: Role; readonly error: Error; readonly delayMs: number };
  /** An attempt to connect failed. The next one follows after `delayMs`. */
  'connect-failed': {
    readonly connection: Role;
    readonly error: Error;
    readonly attempt: number;
    readonly delayMs: number;
  };
  /** The server has raised an alarm: sends wait, consumers go on. */
  blocked: { readonly reason: string };
  /** The alarm is over. */
  unblocked: Record<string, never>;
  /** A consumer consumes again after its channel, its connection or its queue was lost. */
  'consumer-recovered': { readonly queue: string; readonly downMs: number };
  /** A queue or exchange that had vanished was declared again. This broker's consumers are bound to the exchange again. */
  'topology-restored': { readonly kind: 'queue' | 'exchange'; readonly name: string };
  /** A message could not be decoded or does not fit the schema. Its handler did not see it. */
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
  };
  /** A message is in its dead-letter queue. */
  'dead-lettered': {
    readonly queue: string;
    readonly deadLetterQueue: string;
    readonly messageId: string | undefined;
    readonly attempt: number;
    readonly error: unknown;
  };
  /** A row of an outbox could not be sent, and will not be as things are. It is tried again all the same. */
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
  /** A message was handled before, as an inbox or an idempotency store knows. It was acknowledged, and its handler did not run. */
  duplicate: { readonly queue: string; readonly messageId: string | undefined };
  /** A message has no id, so that an inbox or an idempotency store cannot know it again. Once for each consumer. */
  'no-message-id': { readonly queue: string };
}

/** The payloads of the plain channels: what `broker.on` tells, and of which broker. */
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

/** Log functions in the shape of pino and of most loggers: an object first, then a text. */
export interface Logger {
  /** For those who look for a fault in Leveret itself. */
  debug(details: object, message: string): void;
  /** Connected again, recovered, unblocked. */
  info(details: object, message: string): void;
  /** A lost connection, an alarm, a message that failed. An error stands under `err`. */
  warn(details: object, message: string): void;
  /** A mistake of the program around Leveret, such as a listener that throws. */
  error(details: object, message: string): void;
}

/** Discards everything. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

const LEVELS: Readonly<Record<BrokerEvent, keyof Logger>> = {
  connected: 'info',
  disconnected: 'warn',
  'connect-failed': 'warn',
  blocked: 'warn',
  unblocked: 'info',
  'consumer-recovered': 'info',
  'topology-restored': 'warn',
  'invalid-message': 'warn',
  'handler-error': 'warn',
  'dead-lettered': 'warn',
  'outbox-stuck': 'warn',
  duplicate: 'info',
  'no-message-id': 'warn',
};

const NAMES = Object.keys(LEVELS) as BrokerEvent[];

/** Hands events to diagnostics channels, from which the log takes them, and to listeners. Neither can break anything here. */
export class Events {
  readonly #listeners = new Map<BrokerEvent, Set<(event: never) => unknown>>();
  readonly #logger: Logger;
  readonly #channels: EventChannels<BrokerEvent>;

  /** @param broker - the name of the broker */
  constructor(logger: Logger, broker?: string) {
    this.#logger = logger;
    const log = (event: BrokerEvent, details: object) => this.#log(LEVELS[event], details, event);
    this.#channels = new EventChannels(broker, NAMES, logger === silentLogger ? undefined : log);
  }

  on<E extends BrokerEvent>(event: E, listener: BrokerListener<E>): void {
    if (typeof event !== 'string' || !Object.hasOwn(LEVELS, event)) {
      const known = Object.keys(LEVELS).join(', ');
      throw new ConfigurationError(
        'event',
        `broker.on: there is no event ${show(event)}. Known events: ${known}`,
      );
    }
    if (typeof listener !== 'function') {
      throw new ConfigurationError(
        'listener',
        `broker.on('${event}'): expected a function, got ${show(listener)}`,
      );
    }
    const listeners = this.#listeners.get(event) ?? new Set();
    listeners.add(listener);
    this.#listeners.set(event, listeners);
  }

  off<E extends BrokerEvent>(event: E, listener: BrokerListener<E>): void {
    this.#listeners.get(event)?.delete(listener);
  }

  emit<E extends BrokerEvent>(event: E, details: BrokerEvents[E]): void {
    this.#channels.publish(event, details);
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        const result = (listener as BrokerListener<E>)(details) as unknown;
        // An async listener: its rejection is its own affair too.
        onRejection(result, (error) => this.#listenerFailed(event, error));
      } catch (error) {
        this.#listenerFailed(event, error);
      }
    }
  }

  clear(): void {
    this.#listeners.clear();
    this.#channels.close();
  }

  #listenerFailed(event: BrokerEvent, error: unknown): void {
    this.#log('error', { event, err: error }, 'a listener threw');
  }

  #log(level: keyof Logger, event: object, message: string): void {
    const { error, ...details } = event as { readonly error?: unknown };
    try {
      const result: unknown = this.#logger[level](
        error === undefined ? details : { ...details, err: error },
        message,
      );
      onRejection(result, () => undefined);
    } catch {
      // A logger that throws must not stop a message.
    }
  }
}

/** Without somebody who looks at it, a rejection ends the process. */
function onRejection(result: unknown, listener: (error: unknown) => void): void {
  if (isThenable(result)) Promise.resolve(result).catch(listener);
}
