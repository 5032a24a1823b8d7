import type { Broker, BrokerEvents } from '../index.js';
import { BrokerLogger } from './nest-logger.js';

/** What must not go unnoticed. */
export const FAILURE_EVENTS = [
  'handler-error',
  'invalid-message',
  'dead-lettered',
  'dead-letter-failed',
  'outbox-stuck',
  'consumer-failed',
] as const;

/** The name of an event that tells of a failure. */
export type FailureEvent = (typeof FAILURE_EVENTS)[number];

/** Writes events of a broker to Nest's logger, from {@link FailureLog.attach} until {@link FailureLog.detach}. */
export class FailureLog {
  readonly #logger = new BrokerLogger();
  readonly #known = new WeakSet<object>();
  readonly #removals: (() => void)[] = [];

  attach(broker: Broker, events: readonly FailureEvent[]): void {
    for (const event of events) {
      const listener = (details: BrokerEvents[FailureEvent]) => this.#log(event, details);
      broker.on(event, listener);
      this.#removals.push(() => broker.off(event, listener));
    }
  }

  detach(): void {
    for (const remove of this.#removals.splice(0)) remove();
  }

  /** Marks an error as logged or thrown elsewhere, with the name of the class. */
  markKnown(error: unknown): void {
    if (typeof error === 'object' && error !== null) this.#known.add(error);
  }

  #log(event: FailureEvent, details: BrokerEvents[FailureEvent]): void {
    if (event !== 'consumer-failed') this.#logger.warn(withErr(details), event);
    // A consumer emits the event before its promises settle, by which the application learns of the failure.
    else setImmediate(() => this.#logUnlessKnown(details as BrokerEvents['consumer-failed']));
  }

  #logUnlessKnown(details: BrokerEvents['consumer-failed']): void {
    if (!this.#known.has(details.error)) this.#logger.error(withErr(details), 'consumer-failed');
  }
}

/** In the shape of log entries. */
function withErr(details: object): object {
  const { error, ...rest } = details as { readonly error?: unknown };
  return error === undefined ? rest : { ...rest, err: error };
}
