import { isProcedure, isSubscription } from '../../../contracts/guards.js';
import { topologyOf } from '../../../contracts/topology.js';
import type { ExchangeDeclaration, QueueDeclaration } from '../../../transport/port.js';
import type { AnyContract } from '../../contracts.js';
import type { Check, Draft } from '../check.js';
import type { Exchange, Queue, Topology } from '../server-state.js';

/** Something that exists in another form than its contract declares. */
export const contractMismatch: Check = {
  id: 'contract-mismatch',
  run({ contracts, topology }) {
    if (contracts.length === 0) return { skipped: 'no --contracts were given' };
    if ('missing' in topology) return { skipped: topology.missing };
    const drafts = new Map<string, Draft>();
    for (const contract of contracts) {
      for (const [key, draft] of mismatchesOf(contract, topology.value)) drafts.set(key, draft);
    }
    return [...drafts.values()];
  },
};

function mismatchesOf(contract: AnyContract, topology: Topology): (readonly [string, Draft])[] {
  const declared = isProcedure(contract)
    ? contract.queue
    : isSubscription(contract)
      ? contract.toQueue()
      : contract;
  return topologyOf(declared).flatMap((step): (readonly [string, Draft])[] => {
    if (step.kind === 'queue' && !step.lenient) {
      const there = topology.queues.get(step.queue.name);
      const draft = there && queueDraft(step.queue, there);
      return draft ? [[`queue ${there.name}`, draft]] : [];
    }
    if (step.kind === 'exchange') {
      const there = topology.exchanges.get(step.exchange.name);
      const draft = there && exchangeDraft(step.exchange, there);
      return draft ? [[`exchange ${there.name}`, draft]] : [];
    }
    return [];
  });
}

function queueDraft(wanted: QueueDeclaration, there: Queue): Draft | undefined {
  const differences = [
    ...differencesOf(fieldsOf(wanted), fieldsOf(there)),
    ...differencesOf(argumentsOf(wanted.arguments), argumentsOf(there.arguments)),
  ];
  if (differences.length === 0) return undefined;
  return {
    severity: 'error',
    subject: there.name,
    message: messageOf('queue', there.name, differences),
    remedy: { kind: 'queue', queue: there, change: { as: wanted } },
  };
}

function exchangeDraft(wanted: ExchangeDeclaration, there: Exchange): Draft | undefined {
  const differences = [
    ...differencesOf(
      { type: wanted.type, ...fieldsOf(wanted), internal: wanted.internal },
      { type: there.type, ...fieldsOf(there), internal: there.internal },
    ),
    ...differencesOf(wanted.arguments, there.arguments),
  ];
  if (differences.length === 0) return undefined;
  const advice =
    'Change the contract, or delete the exchange, with its bindings, and let it be declared again.';
  return {
    severity: 'error',
    subject: there.name,
    message: `${messageOf('exchange', there.name, differences)} ${advice}`,
  };
}

function fieldsOf(of: {
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly exclusive?: boolean;
}) {
  return { durable: of.durable, autoDelete: of.autoDelete, exclusive: of.exclusive ?? false };
}

/** `classic` is the same as no type at all, on every version. */
function argumentsOf(given: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { 'x-queue-type': 'classic', ...given };
}

interface Difference {
  readonly name: string;
  readonly wanted: unknown;
  readonly there: unknown;
}

function differencesOf(
  wanted: Readonly<Record<string, unknown>>,
  there: Readonly<Record<string, unknown>>,
): readonly Difference[] {
  return [...new Set([...Object.keys(wanted), ...Object.keys(there)])]
    .filter((name) => JSON.stringify(wanted[name]) !== JSON.stringify(there[name]))
    .map((name) => ({ name, wanted: wanted[name], there: there[name] }));
}

function messageOf(kind: string, name: string, differences: readonly Difference[]): string {
  const all = differences.map(
    (it) => `'${it.name}' is ${said(it.wanted)} in the contract and ${said(it.there)} on the server`,
  );
  return `The ${kind} '${name}' differs from its contract: ${all.join('; ')}. No program with this contract can declare it.`;
}

const said = (value: unknown) =>
  value === undefined ? 'not set' : typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
