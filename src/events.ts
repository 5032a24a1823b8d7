import { EventChannels } from './diagnostics/event-channels.js';
import type { TracePayloads } from './diagnostics/payloads.js';
import { ConfigurationError, type Issue, messageOf } from './errors.js';
import type { Role } from './transport/port.js';
import { show } from './util/checks.js';
import { isThenable } from './util/promises.js';
import { realTimers } from './util/timers.js';
import { Warnings } from './util/warnings.js';

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
  /** A queue or exchange that had disappeared was declared again. This broker's consumers are bound to the exchange again. */
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

const LEVELS: Readonly<Record<BrokerEvent, keyof Logger>> = {
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

/** The shortest time between two log entries about failed connection attempts, in milliseconds. */
const ATTEMPT_LOG_INTERVAL_MS = 10_000;

const NAMES = Object.keys(LEVELS) as BrokerEvent[];

/**
 * Publishes events to diagnostics channels, which feed the log, and to listeners. A failing listener or logger breaks nothing
 * here.
 */
export class Events {
  readonly #listeners = new Map<BrokerEvent, Set<(event: never) => unknown>>();
  readonly #logger: Logger;
  readonly #channels: EventChannels<BrokerEvent>;
  readonly #warnings = new Warnings();
  #attemptLoggedAt = Number.NEGATIVE_INFINITY;

  /** @param broker - the name of the broker */
  constructor(logger: Logger, broker?: string) {
    this.#logger = logger;
    const log = (event: BrokerEvent, details: object) => this.#logEvent(event, details);
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
    const listeners = this.#listeners.get(event);
    if (!listeners?.size && this.#logger === silentLogger) warnOf(this.#warnings, event, details);
    for (const listener of [...(listeners ?? [])]) {
      try {
        const result = (listener as BrokerListener<E>)(details) as unknown;
        // An async listener: its rejection must not escape either.
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

  /** Reports a problem that has no event of its own. A process warning, if no logger is given. */
  warn(code: `LEVERET_${string}`, subject: string, text: string): void {
    if (this.#logger === silentLogger) this.#warnings.once(code, subject, text);
    else this.#log('warn', { code }, text);
  }

  /** Logs what the caller is told as well. */
  log(level: 'info' | 'warn', details: object, text: string): void {
    this.#log(level, details, text);
  }

  /** True when neither a logger nor a listener receives the event. */
  isUnheard(event: BrokerEvent): boolean {
    return this.#logger === silentLogger && !this.#listeners.get(event)?.size;
  }

  #logEvent(event: BrokerEvent, details: object): void {
    if (event !== 'connect-failed') {
      this.#log(LEVELS[event], details, event);
      return;
    }
    // During an outage many attempts fail each second, all for the same reason.
    const now = realTimers.now();
    if (now - this.#attemptLoggedAt < ATTEMPT_LOG_INTERVAL_MS) return;
    this.#attemptLoggedAt = now;
    const { error, ...rest } = details as BrokerEvents['connect-failed'];
    this.#log(LEVELS[event], { ...rest, reason: error.message }, event);
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

/** Handles the rejection of a listener's promise, which would otherwise end the process. */
function onRejection(result: unknown, listener: (error: unknown) => void): void {
  if (isThenable(result)) Promise.resolve(result).catch(listener);
}

/** Warns of a failed message if neither a listener nor a logger does. */
function warnOf<E extends BrokerEvent>(warnings: Warnings, event: E, details: BrokerEvents[E]): void {
  if (event === 'handler-error') {
    const { queue, error, aborted } = details as BrokerEvents['handler-error'];
    // The handler did what its signal asked for.
    if (aborted) return;
    const text = `Leveret: a handler of the queue '${queue}' failed: ${messageOf(error)}`;
    warnings.once('LEVERET_HANDLER_ERROR', queue, `${text}. ${ADVICE(event)}`);
  } else if (event === 'invalid-message') {
    const { queue, issues } = details as BrokerEvents['invalid-message'];
    const text = `Leveret: the queue '${queue}' had a message that does not match its contract: ${issues[0]?.message ?? 'no reason is known'}`;
    warnings.once('LEVERET_INVALID_MESSAGE', queue, `${text}. ${ADVICE(event)}`);
  } else if (event === 'dead-letter-failed') {
    const { queue, error } = details as BrokerEvents['dead-letter-failed'];
    const text = `Leveret: a dead letter of the queue '${queue}' cannot be published, and its message is kept: ${error.message}`;
    warnings.once('LEVERET_DEAD_LETTER_FAILED', queue, `${text}. ${ADVICE(event)}`);
  }
}

const ADVICE = (event: BrokerEvent) =>
  `Further failures are not reported: listen with broker.on('${event}'), or pass a 'logger'`;

/** Tells that a part cannot reach its database for a while, or, without a reason, that it can again. */
export function tellOfDatabase(
  events: Events,
  part: string,
  database: string,
  reason: string | undefined,
): void {
  if (reason === undefined) events.log('info', { part }, `${part} reaches ${database} again`);
  else
    events.warn(
      'LEVERET_DATABASE',
      part,
      `Leveret: ${part} cannot reach ${database}, and keeps trying: ${reason}`,
    );
}
