import { EventChannels } from './diagnostics/event-channels.js';
import { ConfigurationError, messageOf } from './errors.js';
import {
  type BrokerEvent,
  type BrokerEvents,
  type BrokerListener,
  LEVELS,
  type Logger,
  silentLogger,
} from './events.js';
import { show } from './util/checks.js';
import { isThenable } from './util/promises.js';
import { realTimers } from './util/timers.js';
import { Warnings } from './util/warnings.js';

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

/** Reports that a part has not reached its database for a while or, without a reason, that it can again. */
export function reportDatabase(
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
