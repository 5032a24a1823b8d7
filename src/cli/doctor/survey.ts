import type { AnyContract } from '../contracts.js';
import type { Greeting } from '../greeting.js';
import { Management, ManagementFailure } from '../management.js';
import type { Where } from '../server-address.js';
import { policyThatApplies } from './policies.js';
import type {
  Alarm,
  Binding,
  Exchange,
  Known,
  Permissions,
  Policy,
  Queue,
  Topology,
} from './server-state.js';

/** The input of all checks, read once. */
export interface Survey {
  readonly where: Where;
  readonly greeting: Greeting;
  readonly hasManagement: boolean;
  readonly topology: Known<Topology>;
  readonly permissions: Known<Permissions>;
  readonly alarms: Known<readonly Alarm[]>;
  readonly contracts: readonly AnyContract[];
  readonly handlerTimeoutMs: number;
}

export interface SurveySettings
  extends Pick<Survey, 'where' | 'greeting' | 'contracts' | 'handlerTimeoutMs'> {
  readonly signal: AbortSignal;
}

/** Reads from the management API. What it does not return is missing, with the reason. */
export async function surveyOf({ signal, ...settings }: SurveySettings): Promise<Survey> {
  const { where, greeting } = settings;
  const management = new Management(where.management, signal);
  const overview = await known(management.get<unknown>(['overview']));
  if ('missing' in overview) {
    return { ...settings, hasManagement: false, topology: overview, permissions: overview, alarms: overview };
  }
  const isThere = greeting.vhost.status !== 'not-found';
  const noVhost: Known<never> = { missing: `the virtual host '${where.vhost}' does not exist` };
  const [topology, permissions, alarms] = await Promise.all([
    isThere ? known(readTopology(management, where.vhost)) : noVhost,
    isThere ? known(readPermissions(management, where)) : noVhost,
    known(readAlarms(management)),
  ]);
  return { ...settings, hasManagement: true, topology, permissions, alarms };
}

/** The management API answers, and knows no such queue. */
export class MissingQueue extends ManagementFailure {
  constructor(name: string) {
    super(`there is no queue '${name}'`, 404);
  }
}

/** One queue, in the form of {@link readTopology}. */
export async function readQueue(
  management: Management,
  vhost: string,
  name: string,
): Promise<{ readonly queue: Queue; readonly version: string }> {
  const [{ rabbitmq_version: version }, queues] = await Promise.all([
    management.get<{ rabbitmq_version: string }>(['overview']),
    readQueues(management, vhost),
  ]);
  const queue = queues.queues.get(name);
  if (!queue) throw new MissingQueue(name);
  return { queue, version };
}

async function readTopology(management: Management, vhost: string): Promise<Topology> {
  const [{ queues, policies }, exchanges, bindings] = await Promise.all([
    readQueues(management, vhost),
    management.get<ExchangeRow[]>(['exchanges', vhost]),
    management.get<BindingRow[]>(['bindings', vhost]),
  ]);
  return {
    queues,
    policies,
    exchanges: new Map(exchanges.map((row) => [row.name, exchangeOf(row, policies)])),
    bindings: bindings.filter(({ source }) => source !== '').map(bindingOf),
  };
}

/**
 * The queues with the policies that apply to them. Without statistics, which are up to seven seconds old and would show a
 * finding that was just fixed.
 */
async function readQueues(
  management: Management,
  vhost: string,
): Promise<{ readonly queues: ReadonlyMap<string, Queue>; readonly policies: readonly Policy[] }> {
  const [rows, policies, operatorPolicies] = await Promise.all([
    management.get<QueueRow[]>(['queues', vhost], '?disable_stats=true'),
    management.get<PolicyRow[]>(['policies', vhost]),
    management.get<PolicyRow[]>(['operator-policies', vhost]),
  ]);
  const known = { policies: policies.map(policyOf), operatorPolicies: operatorPolicies.map(policyOf) };
  return {
    policies: known.policies,
    queues: new Map(rows.map((row) => [row.name, queueOf(row, known)])),
  };
}

async function readPermissions(management: Management, { vhost, username }: Where): Promise<Permissions> {
  try {
    const { configure, write, read } = await management.get<Permissions>(['permissions', vhost, username]);
    return { configure, write, read };
  } catch (error) {
    // The user has no permissions here.
    if (error instanceof ManagementFailure && error.status === 404)
      return { configure: '', write: '', read: '' };
    throw error;
  }
}

async function readAlarms(management: Management): Promise<readonly Alarm[]> {
  const answer = (await management.health(['health', 'checks', 'alarms'])) as { readonly alarms?: unknown };
  if (!Array.isArray(answer.alarms)) return [];
  return answer.alarms.map((alarm: { readonly node?: unknown; readonly resource?: unknown }) => ({
    node: String(alarm.node),
    resource: String(alarm.resource),
  }));
}

async function known<T>(reading: Promise<T>): Promise<Known<T>> {
  try {
    return { value: await reading };
  } catch (error) {
    if (!(error instanceof ManagementFailure)) throw error;
    return { missing: error.message };
  }
}

interface QueueRow {
  readonly name: string;
  readonly type?: string;
  readonly durable: boolean;
  readonly exclusive?: unknown;
  readonly auto_delete: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly policy?: string | null;
  readonly effective_policy_definition?: unknown;
}

interface ExchangeRow {
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  readonly auto_delete: boolean;
  readonly internal: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly policy?: string | null;
}

interface BindingRow {
  readonly source: string;
  readonly destination: string;
  readonly destination_type: 'queue' | 'exchange';
  readonly routing_key: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

interface PolicyRow {
  readonly name: string;
  readonly pattern: string;
  readonly definition: Readonly<Record<string, unknown>>;
  readonly priority: number;
  readonly 'apply-to': string;
}

interface KnownPolicies {
  readonly policies: readonly Policy[];
  readonly operatorPolicies: readonly Policy[];
}

function queueOf(row: QueueRow, { policies, operatorPolicies }: KnownPolicies): Queue {
  const type = row.type ?? 'classic';
  const policy = policies.find(({ name }) => name === row.policy);
  const told = row.effective_policy_definition;
  const applied =
    typeof told === 'object' && told !== null && !Array.isArray(told)
      ? (told as Record<string, unknown>)
      : // Before 4.3 the listing does not say which operator policy applies.
        merged(
          policy?.definition ?? {},
          policyThatApplies(operatorPolicies, row.name, type)?.definition ?? {},
        );
  return {
    name: row.name,
    type,
    durable: row.durable,
    // True, or who owns it, by the version.
    exclusive: Boolean(row.exclusive),
    autoDelete: row.auto_delete,
    arguments: row.arguments,
    policy,
    applied,
  };
}

/** As rabbit_policy:merge_operator_definitions does: of two limits the smaller one. */
function merged(
  definition: Readonly<Record<string, unknown>>,
  operator: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const both = { ...definition };
  for (const [key, value] of Object.entries(operator)) {
    const own = both[key];
    both[key] = typeof own === 'number' && typeof value === 'number' ? Math.min(own, value) : value;
  }
  return both;
}

function exchangeOf(row: ExchangeRow, policies: readonly Policy[]): Exchange {
  const policy = policies.find(({ name }) => name === row.policy);
  const alternate = row.arguments['alternate-exchange'] ?? policy?.definition['alternate-exchange'];
  return {
    name: row.name,
    type: row.type,
    durable: row.durable,
    autoDelete: row.auto_delete,
    internal: row.internal,
    arguments: row.arguments,
    alternate: typeof alternate === 'string' ? alternate : undefined,
  };
}

function bindingOf(row: BindingRow): Binding {
  return {
    source: row.source,
    destination: row.destination,
    destinationType: row.destination_type,
    routingKey: row.routing_key,
    arguments: row.arguments,
  };
}

function policyOf({ name, pattern, definition, priority, 'apply-to': applyTo }: PolicyRow): Policy {
  return { name, pattern, definition, priority, applyTo };
}
