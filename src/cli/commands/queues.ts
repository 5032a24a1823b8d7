import type { Broker } from '../../broker/broker.js';
import { isDelayName } from '../../delay/topology.js';
import { isLeveretError } from '../../errors.js';
import type { Invocation } from '../command.js';
import { loadContracts, queuesOf } from '../contracts.js';
import { CommandFailure, EXIT, type ExitCode, noConnection } from '../failure.js';
import { Management, ManagementFailure } from '../management.js';
import { resolveWhere } from '../server-address.js';
import { type Column, counted, printable, table, toJson } from '../text.js';
import { withBroker } from '../with-broker.js';

interface QueueRow {
  readonly name: string;
  readonly type: string | null;
  readonly ready: number | null;
  readonly unacknowledged: number | null;
  readonly consumers: number | null;
  readonly publishRate: number | null;
  readonly deliverRate: number | null;
}

/** What the management API reports about a queue; the counts are some seconds old, and missing at first. */
interface QueueStats {
  readonly name: string;
  readonly type?: string;
  readonly exclusive?: boolean | null;
  readonly messages_ready?: number;
  readonly messages_unacknowledged?: number;
  readonly consumers?: number;
  readonly message_stats?: {
    readonly publish_details?: { readonly rate: number };
    readonly deliver_get_details?: { readonly rate: number };
  };
}

/** Up to this many queues are also asked over AMQP, whose counts are current. */
const LIVE_AT_MOST = 500;

/** Lists queues. */
export async function run(invocation: Invocation): Promise<ExitCode> {
  const { values, env, secrets, signal, positionals, terminal, json } = invocation;
  const [pattern] = positionals;
  const where = resolveWhere(values, env, secrets);
  const contracts = await loadContracts(values.all('contracts'));
  let rows: readonly QueueRow[];
  try {
    const stats = await new Management(where.management, signal).get<QueueStats[]>(['queues', where.vhost]);
    rows = await live(
      invocation,
      stats.filter(({ name }) => matches(pattern, name)),
    );
  } catch (error) {
    if (!(error instanceof ManagementFailure)) throw error;
    const names = namesWithout(
      pattern,
      queuesOf(contracts).map(({ name }) => name),
    );
    if (names.length === 0) {
      const hint = 'give the name of a queue, --contracts, or --management-url';
      throw noConnection(`${error.message}. Without it the names of the queues are not known: ${hint}`);
    }
    rows = await overAmqp(invocation, names);
  }
  const sorted = [...rows].sort((a, b) => (a.name < b.name ? -1 : 1));
  if (json) await terminal.print(toJson(sorted));
  else if (sorted.length === 0) {
    const matching = pattern === undefined ? '' : ` matches '${printable(pattern)}'`;
    await terminal.print(matching === '' ? 'No queues.' : `No queue${matching}.`);
  } else await terminal.print(...describe(sorted, terminal, pattern === undefined));
  return EXIT.done;
}

function matches(pattern: string | undefined, name: string): boolean {
  if (pattern === undefined) return true;
  const parts = pattern.split('*').map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(name);
}

/** The queues to ask about if the management API cannot list them. */
function namesWithout(pattern: string | undefined, known: readonly string[]): readonly string[] {
  if (pattern !== undefined && !pattern.includes('*')) return [pattern];
  return [...new Set(known)].filter((name) => matches(pattern, name));
}

/** Replaces old counts by current ones, if AMQP provides them. */
async function live(invocation: Invocation, stats: readonly QueueStats[]): Promise<readonly QueueRow[]> {
  const rows = stats.map(rowOf);
  if (stats.length === 0 || stats.length > LIVE_AT_MOST) return rows;
  try {
    return await withBroker(invocation, async ({ broker }) => {
      const counted: QueueRow[] = [];
      for (const [at, row] of rows.entries()) {
        // A stream has no ready messages, and a queue that belongs to another connection cannot be inspected.
        const canAsk = row.type !== 'stream' && !stats[at]?.exclusive;
        const counts = canAsk ? await countsOf(broker, row.name) : undefined;
        counted.push(counts ? { ...row, ready: counts.messages, consumers: counts.consumers } : row);
      }
      return counted;
    });
  } catch (error) {
    if (error instanceof CommandFailure || isLeveretError(error)) return rows;
    throw error;
  }
}

async function overAmqp(invocation: Invocation, names: readonly string[]): Promise<readonly QueueRow[]> {
  return withBroker(invocation, async ({ broker }) => {
    const rows: QueueRow[] = [];
    for (const name of names) {
      const counts = await countsOf(broker, name);
      if (!counts) continue;
      rows.push({
        name,
        type: null,
        ready: counts.messages,
        unacknowledged: null,
        consumers: counts.consumers,
        publishRate: null,
        deliverRate: null,
      });
    }
    return rows;
  });
}

/** Undefined for a queue that does not exist, or belongs to another connection. */
async function countsOf(broker: Broker, name: string) {
  try {
    return await broker.stats(name);
  } catch (error) {
    if (isLeveretError(error) && error.name === 'TopologyError') return undefined;
    throw error;
  }
}

function rowOf(stats: QueueStats): QueueRow {
  return {
    name: stats.name,
    type: stats.type ?? 'classic',
    ready: stats.messages_ready ?? 0,
    unacknowledged: stats.messages_unacknowledged ?? 0,
    consumers: stats.consumers ?? 0,
    publishRate: stats.message_stats?.publish_details?.rate ?? 0,
    deliverRate: stats.message_stats?.deliver_get_details?.rate ?? 0,
  };
}

/** At a terminal, the many queues of the delays are summed up while nothing is in them. */
function describe(
  rows: readonly QueueRow[],
  { palette, width }: Invocation['terminal'],
  maySumUp: boolean,
): string[] {
  const { bold, dim, warning } = palette;
  const shown = maySumUp && width !== undefined ? rows.filter((row) => !isEmptyDelay(row)) : rows;
  const columns: readonly Column[] = [
    { title: 'QUEUE' },
    { title: 'TYPE', isOptional: true },
    { title: 'READY', align: 'right', paint: (text, row) => (hasDeadLetters(row) ? warning(text) : text) },
    { title: 'UNACKED', align: 'right', isOptional: true },
    { title: 'CONSUMERS', align: 'right', paint: (text, row) => (isStuck(row) ? warning(text) : text) },
    { title: 'IN/S', align: 'right', isOptional: true },
    { title: 'OUT/S', align: 'right', isOptional: true },
  ];
  const lines = shown.map((row) => [
    printable(row.name),
    row.type ?? '-',
    number(row.ready),
    number(row.unacknowledged),
    number(row.consumers),
    rate(row.publishRate),
    rate(row.deliverRate),
  ]);
  const emptyDelays = rows.length - shown.length;
  return [
    ...(shown.length === 0 ? [] : table(columns, lines, { width, bold })),
    ...(emptyDelays === 0
      ? []
      : [dim(`Without ${counted(emptyDelays, 'empty queue')} of delays: leveret queues 'leveret.delay.*'`)]),
  ];
}

const isEmptyDelay = ({ name, ready, unacknowledged }: QueueRow) =>
  isDelayName(name) && ready === 0 && unacknowledged === 0;

const hasDeadLetters = ([name = '', , ready]: readonly string[]) =>
  name.endsWith('.dead') && ready !== '0' && ready !== '-';

/** Messages wait, and no consumer takes them. */
const isStuck = ([name = '', type, ready, , consumers]: readonly string[]) =>
  consumers === '0' && ready !== '0' && type !== 'stream' && !name.endsWith('.dead') && !isDelayName(name);

const number = (value: number | null) => (value === null ? '-' : String(value));

const rate = (value: number | null) => (value === null ? '-' : value.toFixed(1));
