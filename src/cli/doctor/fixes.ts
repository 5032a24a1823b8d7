import type { QueueDeclaration } from '../../transport/port.js';
import type { Draft, Finding, Parts, QueueChange } from './check.js';
import { deadLetterQueueFor, deadLetterQueueParts } from './dead-letter-parts.js';
import { declareLine, deleteLine, policyLine } from './lines.js';
import type { Queue, Topology } from './server-state.js';
import { overflowOf } from './settings.js';
import { exactly, isPlainName } from './shell.js';

export interface FixSettings {
  readonly topology: Topology;
  readonly vhost: string;
  readonly version: string;
  /** Whether a queue is empty and unused at this moment. */
  isIdle(queue: string): Promise<boolean>;
}

export type IdentifiedDraft = Draft & { readonly id: string };

/** Writes the shell lines. Those of one queue are written together, since a queue has one policy and is declared once. */
export async function writeFixes(
  drafts: readonly IdentifiedDraft[],
  settings: FixSettings | undefined,
): Promise<readonly Finding[]> {
  const plans = new Map<string, QueuePlan>();
  if (settings) {
    for (const { remedy } of drafts) {
      if (remedy?.kind !== 'queue' || plans.has(remedy.queue.name)) continue;
      const changes = drafts.flatMap((it) =>
        it.remedy?.kind === 'queue' && it.remedy.queue === remedy.queue ? [it.remedy.change] : [],
      );
      plans.set(remedy.queue.name, await planFor(remedy.queue, changes, settings));
    }
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
  changes: readonly QueueChange[],
  settings: FixSettings,
): Promise<QueuePlan> {
  const obstacles = new Map<QueueChange, string>();
  const isIdle = changes.some(isAnew) && !isFixed(queue) && (await settings.isIdle(queue.name));
  for (const change of changes) {
    const obstacle = obstacleTo(change, queue, isIdle, settings.vhost);
    if (obstacle !== undefined) obstacles.set(change, obstacle);
  }
  const possible = changes.filter((change) => !obstacles.has(change));
  return { lines: possible.length === 0 ? [] : linesFor(queue, possible, settings), obstacles };
}

/** Whether a change is one that only a new queue can have. */
function isAnew(change: QueueChange): boolean {
  return change.as !== undefined || change.gone === true || Object.keys(change.arguments ?? {}).length > 0;
}

/** A queue that belongs to a connection, or whose messages can not be counted. */
function isFixed({ exclusive, type }: Queue): boolean {
  return exclusive || type === 'stream';
}

function obstacleTo(change: QueueChange, queue: Queue, isIdle: boolean, vhost: string): string | undefined {
  if (!isPlainName(queue.name) || !isPlainName(vhost)) return 'Its name can not stand in a shell line.';
  if (queue.exclusive) return 'It belongs to one connection: change the program that declares it.';
  if (isAnew(change) && !isIdle) {
    return 'It is in use, or holds messages: stop its consumers, move its messages, delete it, and let it be declared again.';
  }
  const foreign = Object.keys(change.policy ?? {}).find((key) => isOperators(queue, key));
  return foreign === undefined
    ? undefined
    : `An operator policy sets '${foreign}': it is for an administrator to change that.`;
}

function isOperators({ applied, policy }: Queue, key: string): boolean {
  return applied[key] !== undefined && applied[key] !== policy?.definition[key];
}

function linesFor(queue: Queue, changes: readonly QueueChange[], settings: FixSettings): readonly string[] {
  const { vhost, version, topology } = settings;
  const lines: string[] = [];
  const isGone = changes.some(({ gone }) => gone);
  if (changes.some(isAnew)) lines.push(deleteLine(vhost, queue));
  const declared = isGone ? undefined : declarationOf(queue, changes);
  const parts: { -readonly [K in keyof Parts]-?: Parts[K][] } = {
    queues: [declared ? [declared] : []],
    exchanges: [],
    bindings: [declared ? bindingsOf(queue, topology) : []],
  };
  for (const change of changes) {
    parts.queues.push(change.parts?.queues);
    parts.exchanges.push(change.parts?.exchanges);
    parts.bindings.push(change.parts?.bindings);
  }
  const policy: Record<string, unknown> = Object.assign({}, ...changes.map((change) => change.policy ?? {}));
  const hasTarget = declared?.arguments['x-dead-letter-exchange'] !== undefined;
  if (changes.some(({ deadLetters }) => deadLetters) && !hasTarget && !isGone) {
    const target = deadLetterQueueFor(topology, version, queue.name);
    parts.queues.push(deadLetterQueueParts(topology, target));
    policy['dead-letter-exchange'] = '';
    policy['dead-letter-routing-key'] = target;
  }
  const all: Parts = {
    queues: parts.queues.flatMap((it) => it ?? []),
    exchanges: parts.exchanges.flatMap((it) => it ?? []),
    bindings: parts.bindings.flatMap((it) => it ?? []),
  };
  const declare = declareLine(vhost, all);
  if (declare !== undefined) lines.push(declare);
  if (Object.keys(policy).length > 0 && !isGone) lines.push(newPolicyLine(queue, policy, settings));
  return lines;
}

function declarationOf(queue: Queue, changes: readonly QueueChange[]): QueueDeclaration | undefined {
  const [wanted] = changes.flatMap(({ as }) => as ?? []);
  if (wanted) return wanted;
  const changed: Record<string, unknown> = Object.assign({}, ...changes.map((it) => it.arguments ?? {}));
  if (Object.keys(changed).length === 0) return undefined;
  const { name, durable, exclusive, autoDelete } = queue;
  const args = Object.entries({ ...queue.arguments, ...changed }).filter(([, value]) => value !== undefined);
  return { name, durable, exclusive, autoDelete, arguments: Object.fromEntries(args) };
}

/** What a queue that is declared anew has to be bound to again. */
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
 * A policy for this queue alone: what applied so far, and the changes. Only one policy applies to a queue, so what it leaves out
 * is gone.
 */
function newPolicyLine(
  queue: Queue,
  changes: Readonly<Record<string, unknown>>,
  settings: FixSettings,
): string {
  const { topology, vhost } = settings;
  const merged = Object.entries({ ...queue.policy?.definition, ...changes }).filter(
    ([, value]) => value !== undefined,
  );
  // A policy can not be empty: this one says what is so already.
  const definition = merged.length > 0 ? Object.fromEntries(merged) : { overflow: overflowOf(queue) };
  return policyLine(vhost, queue.name, {
    name: policyName(queue.name, topology),
    definition,
    priority: (queue.policy?.priority ?? 0) + 1,
  });
}

/** A name that no policy of another make has. */
function policyName(queue: string, { policies }: Topology): string {
  for (let n = 1; ; n++) {
    const name = `leveret-doctor-${queue}${n === 1 ? '' : `.${n}`}`;
    const there = policies.find((policy) => policy.name === name);
    if (!there || isOwn(there.pattern, queue)) return name;
  }
}

function isOwn(pattern: string, queue: string): boolean {
  return pattern === exactly(queue);
}
