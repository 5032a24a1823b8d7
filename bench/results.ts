import { type ClientName, titles, type Workload } from './workloads.js';

/** One client in one round. */
export interface Measured {
  /** Messages per second; of a start, nothing. */
  readonly perSecond: number;
  /** The client's CPU time per message, in microseconds. */
  readonly cpuUs: number;
  /** The server's; undefined where it cannot be seen. */
  readonly serverCpuUs: number | undefined;
  /** The most memory that the process had, in MiB. */
  readonly memoryMiB: number;
  /** Of single messages, in milliseconds. */
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** From the start of the process to the first confirm, in milliseconds. */
  readonly startMs?: number;
}

export type Key = 'perSecond' | 'cpuUs' | 'serverCpuUs' | 'memoryMiB' | 'p50Ms' | 'p99Ms' | 'startMs';

/** The middles of the rounds. */
export type Middles = Readonly<Partial<Record<Key, number>>>;

export interface Result {
  readonly workload: string;
  readonly title: string;
  readonly clients: Readonly<
    Partial<Record<ClientName, { readonly middle: Middles; readonly rounds: readonly Measured[] }>>
  >;
}

const KEYS: readonly Key[] = ['perSecond', 'cpuUs', 'serverCpuUs', 'memoryMiB', 'p50Ms', 'p99Ms', 'startMs'];

export function middlesOf(rounds: readonly Measured[]): Middles {
  const middles: Partial<Record<Key, number>> = {};
  for (const key of KEYS) {
    const values = rounds.flatMap((round) => round[key] ?? []).sort((a, b) => a - b);
    if (values.length > 0) middles[key] = values[Math.floor(values.length / 2)] as number;
  }
  return middles;
}

/** How a column is printed; its ratio to bare amqplib stands behind it. */
const COLUMNS: Readonly<Record<Key, { readonly title: string; readonly digits: number }>> = {
  perSecond: { title: 'messages/s', digits: 0 },
  cpuUs: { title: 'CPU µs/message', digits: 1 },
  serverCpuUs: { title: 'server CPU µs/message', digits: 1 },
  memoryMiB: { title: 'memory MiB', digits: 0 },
  p50Ms: { title: 'p50 ms', digits: 3 },
  p99Ms: { title: 'p99 ms', digits: 3 },
  startMs: { title: 'ms', digits: 0 },
};

/** The columns that say something of a workload. */
export function columnsOf({ program }: Pick<Workload, 'program'>): readonly Key[] {
  if (program === 'start') return ['startMs', 'memoryMiB'];
  if (program === 'latency' || program === 'request') return ['p50Ms', 'p99Ms', 'cpuUs'];
  return ['perSecond', 'cpuUs', 'serverCpuUs', 'memoryMiB'];
}

/** One workload as a Markdown table. */
export function tableOf(result: Result, keys: readonly Key[]): string {
  const base = result.clients.amqplib?.middle;
  const header = ['', ...keys.map((key) => COLUMNS[key].title)];
  const rows = Object.entries(result.clients).map(([name, { middle }]) => [
    titles[name as ClientName],
    ...keys.map((key) => cell(middle[key], base?.[key], COLUMNS[key].digits)),
  ]);
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(header), `|---|${keys.map(() => '--:|').join('')}`, ...rows.map(line)].join('\n');
}

function cell(value: number | undefined, base: number | undefined, digits: number): string {
  if (value === undefined) return '';
  const text = value.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d))/g, digits === 0 ? ' ' : '');
  return base === undefined ? text : `${text} (${(value / base).toFixed(2)})`;
}
