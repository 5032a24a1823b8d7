import type { Broker, BrokerEvent, BrokerEvents } from 'leveret';

const names = [
  'connected',
  'disconnected',
  'connect-failed',
  'blocked',
  'unblocked',
  'consumer-recovered',
  'topology-restored',
  'invalid-message',
  'handler-error',
  'dead-lettered',
  'dead-letter-failed',
] as const satisfies readonly BrokerEvent[];

/** The events that are recorded. */
type Recorded = (typeof names)[number];

/** What a broker has told its listeners so far. */
export interface RecordedEvents {
  /** The details of each event of this name, in order. */
  of<E extends Recorded>(name: E): readonly BrokerEvents[E][];
  /** The names of all events, in order. */
  readonly names: readonly BrokerEvent[];
  /** Everything, in order. */
  readonly all: readonly (readonly [BrokerEvent, unknown])[];
}

/** Listens to every event of a broker. */
export function recordEvents(broker: Broker): RecordedEvents {
  const all: [BrokerEvent, unknown][] = [];
  for (const name of names) broker.on(name, (details) => all.push([name, details]));
  return {
    all,
    get names() {
      return all.map(([name]) => name);
    },
    of: <E extends Recorded>(name: E) =>
      all.filter(([it]) => it === name).map(([, details]) => details as BrokerEvents[E]),
  };
}
