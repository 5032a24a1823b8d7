import type { QueueDeclaration } from '../../transport/port.js';
import type { Draft, Finding, QueueChange } from './check.js';
import { deadLetterQueueFor, deadLetterQueueParts } from './dead-letter-parts.js';
import { after, linesOf, noOperations, type Operations } from './operations.js';
import type { Policy, Queue, Topology } from './server-state.js';
import { overflowOf } from './settings.js';
import { exactly, isPlainName } from './shell.js';

export type IdentifiedDraft = Draft & { readonly id: string };

export interface FixSettings {
  readonly topology: Topology;
  readonly vhost: string;
  readonly version: string;
  /** Runs the checks on a virtual host in this state. */
  examine(topology: Topology): readonly IdentifiedDraft[];
  /** Whether a queue is empty and unused at this moment. */
  isIdle(queue: string): Promise<boolean>;
}

/** A fix can require another one, because what it declares may match a policy. More than two rounds were never needed. */
const ROUNDS = 5;

/** Writes the shell lines. Those of one queue are written together, because a queue has one policy and is declared once. */
export async function writeFixes(
  drafts: readonly IdentifiedDraft[],
  settings: FixSettings | undefined,
): Promise<readonly Finding[]> {
  const plans = new Map<string, QueuePlan>();
  for (const { remedy } of settings ? drafts : []) {
    if (!settings || remedy?.kind !== 'queue' || plans.has(remedy.queue.name)) continue;
    plans.set(remedy.queue.name, await planFor(remedy.queue, drafts, settings));
  }
  return drafts.map(({ id, severity, subject, message, remedy }) => {
    if (remedy === undefined) return { id, severity, subject, message, fix: [] };
    if (remedy.kind === 'lines') return { id, severity, subject, message, fix: remedy.lines };
    const plan = plans.get(remedy.queue.name);
    const obstacle = plan?.obstacles.get(remedy.change);
    if (!plan || obstacle === undefined) return { id, severity, subject, message, fix: plan?.lines ?? [] };
    return { id, severity, subject, message: `${message} ${obstacle}`, fix: [] };
  });
}

/** The lines for one queue, and the changes that they do not make, with the reason. */
interface QueuePlan {
  readonly lines: readonly string[];
  readonly obstacles: ReadonlyMap<QueueChange, string>;
}

async function planFor(
  queue: Queue,
  drafts: readonly IdentifiedDraft[],
  settings: FixSettings,
): Promise<QueuePlan> {
  const changes = drafts.flatMap(({ remedy }) =>
    remedy?.kind === 'queue' && remedy.queue === queue ? [remedy.change] : [],
  );
  const canBeAnew = changes.some(isAnew) && !isFixed(queue) && (await settings.isIdle(queue.name));
  const obstacles = new Map<QueueChange, string>();
  for (const change of changes) {
    const obstacle = obstacleTo(change, queue, canBeAnew, settings.vhost);
    if (obstacle !== undefined) obstacles.set(change, obstacle);
  }
  const possible = changes.filter((change) => !obstacles.has(change));
  if (possible.length === 0) return { lines: [], obstacles };

  const operations = noOperations();
  if (possible.some(isAnew)) operations.deleted.push(queue);
  for (const change of possible.filter((it) => !it.deadLetters)) apply(change, queue, operations, settings);
  const known = new Set(drafts.map(keyOf));
  for (let round = 0; round < ROUNDS; round++) {
    const state = after(settings.topology, operations);
    const open = settings
      .examine(state)
      .filter((draft) => isNew(draft, queue, possible, known) && canApply(draft, operations));
    // A place for dead letters comes last: the other changes may have made it unnecessary.
    const next = open.find((draft) => !givesPlace(draft)) ?? open[0];
    if (next?.remedy?.kind !== 'queue') break;
    apply(next.remedy.change, next.remedy.queue, operations, { ...settings, topology: state });
  }
  return { lines: linesOf(settings.vhost, operations), obstacles };
}

const keyOf = ({ id, subject }: IdentifiedDraft) => `${id} ${subject}`;

/** Whether a draft remained, or came up, after the planned changes. */
function isNew(
  draft: IdentifiedDraft,
  queue: Queue,
  possible: readonly QueueChange[],
  known: ReadonlySet<string>,
): boolean {
  if (draft.remedy?.kind !== 'queue') return false;
  const { change } = draft.remedy;
  const isLeft = draft.subject === queue.name && change.deadLetters && possible.some((it) => it.deadLetters);
  return isLeft === true || !known.has(keyOf(draft));
}

function givesPlace({ remedy }: IdentifiedDraft): boolean {
  return remedy?.kind === 'queue' && remedy.change.deadLetters === true;
}

/** An existing queue cannot be declared again on the way; a planned one can. */
function canApply({ remedy }: IdentifiedDraft, { queues }: Operations): boolean {
  return remedy?.kind === 'queue' && (!isAnew(remedy.change) || queues.has(remedy.queue.name));
}

/** Whether a change requires a new queue. */
function isAnew(change: QueueChange): boolean {
  return change.as !== undefined || change.gone === true || Object.keys(change.arguments ?? {}).length > 0;
}

/** A queue that belongs to a connection, or whose messages cannot be counted. */
function isFixed({ exclusive, type }: Queue): boolean {
  return exclusive || type === 'stream';
}

function obstacleTo(
  change: QueueChange,
  queue: Queue,
  canBeAnew: boolean,
  vhost: string,
): string | undefined {
  if (!isPlainName(queue.name) || !isPlainName(vhost)) return 'Its name cannot stand in a shell line.';
  if (queue.exclusive) return 'It belongs to one connection: change the program that declares it.';
  if (isAnew(change) && !canBeAnew) {
    return 'It is in use, or holds messages: stop its consumers, move its messages, delete it, and let it be declared again.';
  }
  const foreign = Object.keys(change.policy ?? {}).find((key) => isOperators(queue, key));
  if (foreign === undefined) return undefined;
  return `An operator policy sets '${foreign}': it is for an administrator to change that.`;
}

function isOperators({ applied, policy }: Queue, key: string): boolean {
  return applied[key] !== undefined && applied[key] !== policy?.definition[key];
}

/** Adds what one change needs. */
function apply(change: QueueChange, queue: Queue, operations: Operations, settings: FixSettings): void {
  const { topology, version } = settings;
  if (isAnew(change) && !change.gone) {
    const declared = declarationOf(operations.queues.get(queue.name) ?? queue, change);
    if (!operations.queues.has(queue.name)) operations.bindings.push(...bindingsOf(queue, topology));
    operations.queues.set(queue.name, declared);
  }
  for (const it of change.parts?.queues ?? []) operations.queues.set(it.name, it);
  for (const it of change.parts?.exchanges ?? []) operations.exchanges.set(it.name, it);
  operations.bindings.push(...(change.parts?.bindings ?? []));
  const policy: Record<string, unknown> = { ...change.policy };
  if (change.deadLetters) {
    const target = deadLetterQueueFor(topology, version, queue.name);
    for (const it of deadLetterQueueParts(topology, target)) operations.queues.set(it.name, it);
    policy['dead-letter-exchange'] = '';
    policy['dead-letter-routing-key'] = target;
  }
  if (Object.keys(policy).length === 0) return;
  operations.policies.set(queue.name, changedPolicy(queue, policy, operations, topology));
}

/** The new declaration of the queue. */
function declarationOf(
  queue: Queue | QueueDeclaration,
  { as, arguments: changed }: QueueChange,
): QueueDeclaration {
  if (as) return as;
  const { name, durable, exclusive, autoDelete } = queue;
  const args = Object.entries({ ...queue.arguments, ...changed }).filter(([, value]) => value !== undefined);
  return { name, durable, exclusive, autoDelete, arguments: Object.fromEntries(args) };
}

/** The bindings that a newly declared queue needs again. */
function bindingsOf({ name }: Queue, { bindings }: Topology) {
  return bindings
    .filter((it) => it.destinationType === 'queue' && it.destination === name)
    .map(({ source, routingKey, arguments: args }) => ({
      destination: { kind: 'queue', name } as const,
      source,
      routingKey,
      arguments: args,
    }));
}

/**
 * A policy for this queue alone: the settings so far, and the changes. Only one policy applies to a queue, so settings that
 * it leaves out are gone.
 */
function changedPolicy(
  queue: Queue,
  changes: Readonly<Record<string, unknown>>,
  { policies }: Operations,
  topology: Topology,
): Policy {
  const planned = policies.get(queue.name);
  const base = planned ?? queue.policy;
  const merged = Object.entries({ ...base?.definition, ...changes }).filter(
    ([, value]) => value !== undefined,
  );
  return {
    name: planned?.name ?? policyName(queue.name, topology),
    pattern: exactly(queue.name),
    // A policy cannot be empty: this one states what applies already.
    definition: merged.length > 0 ? Object.fromEntries(merged) : { overflow: overflowOf(queue) },
    priority: planned?.priority ?? (queue.policy?.priority ?? 0) + 1,
    applyTo: 'queues',
  };
}

/** A name that no policy of another program has. */
function policyName(queue: string, { policies }: Topology): string {
  for (let n = 1; ; n++) {
    const name = `leveret-doctor-${queue}${n === 1 ? '' : `.${n}`}`;
    const there = policies.find((policy) => policy.name === name);
    if (!there || there.pattern === exactly(queue)) return name;
  }
}
