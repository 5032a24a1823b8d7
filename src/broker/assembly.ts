import { ConsumerFactory } from '../consumer/consumer-factory.js';
import { DeadLetterOperations } from '../dead-letters/operations.js';
import type { Restored } from '../declarations/declarer.js';
import { Landings } from '../delay/landings.js';
import { ClosedError, TimeoutError } from '../errors.js';
import { Events } from '../event-emitter.js';
import { RelayFactory } from '../outbox/relay-factory.js';
import { Producers } from '../producer/producers.js';
import { Publisher } from '../producer/publisher/publisher.js';
import { Republisher } from '../producer/republisher.js';
import { Procedures } from '../rpc/procedures.js';
import { makeTransport } from '../transport/make-transport.js';
import { type Clock, raceAbort, systemClock, withDeadline } from '../util/clock.js';
import { Administration } from './administration.js';
import { Connections } from './connections.js';
import { resolveGuard } from './guard-options.js';
import {
  type BrokerOptions,
  type ResolvedBrokerOptions,
  resolveBrokerOptions,
  resolveUrls,
} from './options.js';
import { Registry } from './registry.js';
import { restoreTopology } from './restore-topology.js';
import { testHooksOf } from './test-hooks.js';

/** The parts of a broker. */
export interface Assembly {
  readonly options: ResolvedBrokerOptions;
  readonly clock: Clock;
  /** Measures the deadline of `close`. */
  readonly closeClock: Clock;
  readonly events: Events;
  readonly connections: Connections;
  readonly registry: Registry;
  readonly administration: Administration;
  readonly consumers: ConsumerFactory;
  readonly procedures: Procedures;
  readonly deadLetterOperations: DeadLetterOperations;
  readonly relays: RelayFactory;
  readonly producers: Producers;
}

/** Creates the parts of a broker and wires them. No I/O. */
export function assemble(
  url: string | readonly string[] | undefined,
  given: BrokerOptions | undefined,
): Assembly {
  const options = resolveBrokerOptions(given);
  const testHooks = testHooksOf(given);
  const clock = testHooks?.clock ?? systemClock;
  const closeClock = testHooks?.closeClock ?? clock;
  const events = new Events(options.logger, options.name);
  const registry = new Registry();
  const connections = new Connections({
    transport: testHooks?.transport ?? makeTransport(resolveUrls(url), options, clock),
    options,
    clock,
    events,
    onUnblocked: () => registry.flush(),
    onLanding: (target) => landings.serve(target),
  });
  const { publish } = connections;
  const landings = new Landings({ connection: publish, clock });
  registry.addPublisher(landings);
  const { maxBodyBytes } = options;
  const republished = new Publisher({
    target: 'the dead-letter queue',
    connection: publish,
    clock,
    contract: undefined,
    hasManyTargets: true,
    maxInFlight: 1_000,
    maxBuffered: 10_000,
  });
  registry.addPublisher(republished);
  const onRestored = (restored: Restored, found: readonly Restored[]) =>
    restoreTopology(restored, found, connections, registry, events);
  const onFound = (found: Restored) => void onRestored(found, [found]);
  const consumers = new ConsumerFactory(
    {
      connection: connections.consume,
      republisher: new Republisher(republished, publish, onFound),
      clock,
      events,
      closeClock,
      maxBodyBytes,
      heartbeatSeconds: options.heartbeatSeconds,
      onOutcome: testHooks?.onOutcome,
      resolveGuard,
      landings,
      onRestored: onFound,
      onConsumerActive: (consumer) => registry.addConsumer(consumer),
      onConsumerIdle: (consumer) => registry.consumerIdle(consumer),
    },
    testHooks,
    () => registry.isClosing,
  );
  const sending = {
    connection: publish,
    clock,
    setUpOn: (exchange: string) => registry.setUpOn(exchange),
    onRestored,
  };
  const producers = new Producers({ ...sending, maxBodyBytes, isClosing: () => registry.isClosing });
  registry.addProducers(producers);
  const procedures = new Procedures({ connection: publish, clock, events, maxBodyBytes, consumers });
  for (const publisher of procedures.publishers) registry.addPublisher(publisher);
  return {
    options,
    clock,
    closeClock,
    events,
    connections,
    registry,
    administration: new Administration(connections, clock, landings),
    consumers,
    procedures,
    producers,
    relays: new RelayFactory({ ...sending, events, registry, onRelay: testHooks?.onRelay }),
    deadLetterOperations: registry.addTask(
      new DeadLetterOperations(connections, clock, maxBodyBytes, testHooks?.onReplay),
    ),
  };
}

/**
 * Closes the parts in order, or all at once at the deadline. Resolves with false if some work was not finished. Never
 * rejects.
 */
export async function shutDown(
  { registry, administration, connections, closeClock, events }: Assembly,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const timeoutError = () => new TimeoutError(`The broker could not be closed within ${timeoutMs} ms`);
  administration.close();
  const done = registry.close().then(() => connections.close());
  try {
    await raceAbort(withDeadline(closeClock, done, timeoutMs, timeoutError), signal);
    return true;
  } catch {
    const text = 'The broker was closed before all work was done';
    events.log('warn', unfinished(registry), text);
    const reason = new ClosedError(text);
    registry.abort(reason);
    await connections.destroy(reason);
    return false;
  }
}

/** What a close leaves behind: messages that will be delivered again, and sends that are rejected. */
function unfinished({ consumerHealth, producerHealth }: Registry): object {
  return {
    handlers: consumerHealth
      .filter(({ inFlight }) => inFlight > 0)
      .map(({ queue, inFlight }) => ({ queue, inFlight })),
    errors: consumerHealth.flatMap(({ queue, error }) => (error === undefined ? [] : [{ queue, error }])),
    sends: producerHealth
      .filter(({ pending }) => pending > 0)
      .map(({ target, pending }) => ({ target, pending })),
  };
}
