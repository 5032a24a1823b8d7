import type { History } from './history.js';
import { growthOf, type RuleName, settler } from './rules.js';
import type { RunRecord } from './run.js';

/** The figures of a run, as they are stored. */
export interface Report {
  readonly version: string;
  readonly seed: number;
  readonly minutes: number;
  readonly faults: number;
  readonly sends: number;
  readonly sent: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly handled: number;
  readonly deadLetters: number;
  /** Messages whose handler ended well more than once. */
  readonly duplicates: number;
  readonly lost: number;
  readonly slowestSendMs: number;
  readonly slowestRecoveryMs: number;
  readonly recoveriesOverOneSecond: number;
  readonly medianRecoveryMs: number;
  readonly recoveries: Readonly<Record<string, { readonly times: number; readonly slowestMs: number }>>;
  readonly mostHeapMiB: number;
  readonly mostRssMiB: number;
  readonly heapGrowthMiB: number;
  readonly connections: number;
  readonly broken: Partial<Readonly<Record<RuleName, readonly string[]>>>;
}

const MiB = 2 ** 20;

export function reportOf(run: RunRecord, history: History): Report {
  const messages = [...history.messages.values()];
  const failed: Record<string, number> = {};
  for (const { settled } of messages)
    if (settled?.code) failed[settled.code] = (failed[settled.code] ?? 0) + 1;
  const doneTimes = messages.map(({ runs }) => runs.filter(({ how }) => how === 'done').length);
  const recoveries: Record<string, { times: number; slowestMs: number }> = {};
  const all: number[] = [];
  for (const { name, recoveredAfterMs = Number.POSITIVE_INFINITY } of run.faults) {
    const { times, slowestMs } = recoveries[name] ?? { times: 0, slowestMs: 0 };
    recoveries[name] = { times: times + 1, slowestMs: Math.max(slowestMs, Math.round(recoveredAfterMs)) };
    all.push(Math.round(recoveredAfterMs));
  }
  all.sort((a, b) => a - b);
  const memory = run.programs.map(({ name }) =>
    (history.others.get(name) ?? []).filter((entry) => entry.e === 'memory'),
  );
  const broken = settler(run, history);
  return {
    version: run.options.server.version,
    seed: run.options.seed,
    minutes: Number(((run.lastFaultAt - run.firstFaultAt) / 60_000).toFixed(1)),
    faults: run.faults.length,
    sends: messages.length,
    sent: messages.filter(({ settled }) => settled?.id !== undefined).length,
    failed,
    handled: doneTimes.filter((times) => times > 0).length,
    deadLetters: new Set(run.leftovers.deadLetters).size,
    duplicates: doneTimes.filter((times) => times > 1).length,
    lost: countOf(broken['no resolved send is missing']),
    slowestSendMs: Math.round(
      Math.max(0, ...sample(messages.map(({ sentAt, settled }) => (settled?.at ?? sentAt) - sentAt))),
    ),
    slowestRecoveryMs: all.at(-1) ?? 0,
    recoveriesOverOneSecond: all.filter((ms) => ms > 1_000).length,
    medianRecoveryMs: all[Math.floor(all.length / 2)] ?? 0,
    recoveries,
    mostHeapMiB: Math.round(Math.max(0, ...memory.flat().map(({ heapBytes }) => heapBytes)) / MiB),
    mostRssMiB: Math.round(Math.max(0, ...memory.flat().map(({ rssBytes }) => rssBytes)) / MiB),
    heapGrowthMiB: Number(
      (
        Math.max(0, ...memory.map((entries) => growthOf(entries.map(({ heapBytes }) => heapBytes)))) / MiB
      ).toFixed(1),
    ),
    connections: run.network.proxy.accepted,
    broken,
  };
}

/** The report as people read it. */
export function describeReport(report: Report): string {
  const slowest = Object.entries(report.recoveries)
    .sort(([, a], [, b]) => b.slowestMs - a.slowestMs)
    .map(
      ([name, { times, slowestMs }]) =>
        `  ${String(slowestMs).padStart(7)} ms  ${String(times).padStart(4)} ×  ${name}`,
    );
  const broken = Object.entries(report.broken).flatMap(([rule, examples]) => [
    `BROKEN: ${rule}`,
    ...(examples ?? []).map((example) => `  ${example}`),
  ]);
  return [
    `RabbitMQ ${report.version}, seed ${report.seed}: ${report.minutes} minutes, ${report.faults} faults`,
    `sends       ${report.sends}: ${report.sent} resolved, rejected ${JSON.stringify(report.failed)}, slowest ${report.slowestSendMs} ms`,
    `handled     ${report.handled}, dead letters ${report.deadLetters}, handled twice or more ${report.duplicates}`,
    `lost        ${report.lost}`,
    `recovery    median ${report.medianRecoveryMs} ms, slowest ${report.slowestRecoveryMs} ms, over one second ${report.recoveriesOverOneSecond}`,
    ...slowest,
    `memory      heap ${report.mostHeapMiB} MiB at most, growth ${report.heapGrowthMiB} MiB, resident ${report.mostRssMiB} MiB`,
    `connections ${report.connections}`,
    broken.length === 0 ? 'every rule was kept' : broken.join('\n'),
  ].join('\n');
}

function countOf(examples: readonly string[] | undefined): number {
  if (!examples) return 0;
  const more = /(\d+) in all/.exec(examples.at(-1) ?? '');
  return more ? Number(more[1]) : examples.length;
}

/** `Math.max` takes only so many. */
function sample(numbers: readonly number[]): number[] {
  return [numbers.reduce((most, it) => Math.max(most, it), 0)];
}
