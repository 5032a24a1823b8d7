import { ConsumerFactory } from '../consumer/consumer-factory.js';
import { DeadLetterOffice } from '../dead-letters/operations.js';
import { ClosedError, TimeoutError } from '../errors.js';
import { Events } from '../events.js';
import { Outbox } from '../producer/publisher/publisher.js';
import { Republisher } from '../producer/republisher.js';
import { Procedures } from '../rpc/procedures.js';
import { makeTransport } from '../transport/make-transport.js';
import { type Clock, orAborted, systemClock, withDeadline } from '../util/clock.js';
import { Administration } from './administration.js';
import { Connections } from './connections.js';
import {
  type BrokerOptions,
  type ResolvedBrokerOptions,
  resolveBrokerOptions,
  resolveUrls,
} from './options.js';
import { Members } from './registry.js';
import { internalsOf } from './test-hooks.js';

/** The parts of a broker. */
export interface Assembly {
  readonly options: ResolvedBrokerOptions;
  readonly clock: Clock;
  readonly events: Events;
  readonly connections: Connections;
  readonly members: Members;
  readonly administration: Administration;
  readonly consumers: ConsumerFactory;
  readonly procedures: Procedures;
  readonly office: DeadLetterOffice;
}

/** Makes the parts of a broker and wires them. No I/O. */
export function assemble(
  url: string | readonly string[] | undefined,
  given: BrokerOptions | undefined,
): Assembly {
  const options = resolveBrokerOptions(given);
  const internals = internalsOf(given);
  const clock = internals?.clock ?? systemClock;
  const events = new Events(options.logger);
  const members = new Members();
  const connections = new Connections({
    transport: internals?.transport ?? makeTransport(resolveUrls(url), options, clock),
    options,
    clock,
    events,
    onUnblocked: () => members.flush(),
  });
  const { publish } = connections;
  const { maxBodyBytes } = options;
  const republished = new Outbox({
    target: 'the dead-letter queue',
    connection: publish,
    clock,
    contract: undefined,
    maxInFlight: 1_000,
    maxBuffered: 10_000,
  });
  members.addPublisher(republished);
  const consumers = new ConsumerFactory(
    {
      connection: connections.consume,
      republisher: new Republisher(republished, publish),
      clock,
      events,
      maxBodyBytes,
      onOutcome: internals?.onOutcome,
      onConsumerActive: (consumer) => members.addConsumer(consumer),
      onConsumerIdle: (consumer) => members.consumerIdle(consumer),
    },
    internals,
    () => members.isClosing,
  );
  return {
    options,
    clock,
    events,
    connections,
    members,
    administration: new Administration(connections, clock),
    consumers,
    procedures: new Procedures({ connection: publish, clock, events, maxBodyBytes, members, consumers }),
    office: members.addTask(new DeadLetterOffice(connections, clock, maxBodyBytes)),
  };
}

/** Ends the parts in order, or at the deadline at once. False: not everything was done. Never rejects. */
export async function shutDown(
  { members, administration, connections, clock }: Assembly,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const late = () => new TimeoutError(`The broker could not be closed within ${timeoutMs} ms`);
  administration.close();
  const done = members.close().then(() => connections.close());
  try {
    await orAborted(withDeadline(clock, done, timeoutMs, late), signal);
    return true;
  } catch {
    const reason = new ClosedError('The broker was closed before all work was done');
    members.abort(reason);
    await connections.destroy(reason);
    return false;
  }
}
