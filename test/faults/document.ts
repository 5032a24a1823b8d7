/**
 * Writes `docs/reliability.md` from what runs have left in `reports/`: `reliability-<version>*.json`, which are reports of
 * vitest, and `soak-<version>-<seed>.json`. For one version:
 *
 * `npx vitest run --project faults --project rabbitmq --outputFile.json=reports/reliability-4.3.json && npx tsx test/faults/document.ts`
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { catalogue, type Row, type TestReference } from './catalogue.js';
import type { Report } from './harness/report.js';
import { RECOVERY_LIMIT_MS, rules } from './harness/rules.js';

interface TestResult {
  readonly file: string;
  readonly title: string;
  readonly status: string;
  readonly measured: string | undefined;
}

interface VitestReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly {
      readonly title: string;
      readonly status: string;
      readonly meta: { readonly measured?: string };
    }[];
  }[];
}

/** The results of runs, by version of the server. */
export type Results = ReadonlyMap<string, readonly TestResult[]>;

/** Whether a title of a report is one that the test's source writes as `pattern`. */
function fits(title: string, pattern: string): boolean {
  const parts = pattern.split(/%[sdifjoO#]|\$\w+/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(title);
}

function cellOf({ heldBy }: Row, results: readonly TestResult[]): string {
  const found = heldBy.map(([file, title]: TestReference) =>
    results.filter((it) => it.file.endsWith(file) && fits(it.title, title) && it.status !== 'skipped'),
  );
  const all = found.flat();
  if (all.some(({ status }) => status === 'failed')) return 'failed';
  if (found.some((tests) => tests.length === 0)) return 'not run';
  const figures = all.flatMap(({ measured }) => (measured === undefined ? [] : [measured]));
  return figures.length === 0 ? 'holds' : `holds: ${figures.join('; ')}`;
}

/** The document. */
export function render(results: Results, soaks: readonly Report[]): string {
  const versions = [...results.keys()].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  const row = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const lines = [
    '# Reliability',
    '',
    `Faults, what Leveret promises for each, and what a run has measured, on RabbitMQ ${versions.join(' and ')}. Generated from the results`,
    'of `npm run test:faults` and `npm run soak` by `test/faults/document.ts`; the tests that hold each row are named in',
    '`test/faults/catalogue.ts`. The figures are from one machine that was also doing other work.',
    '',
  ];
  for (const [section, rows] of Object.entries(catalogue)) {
    lines.push(`## ${section}`, '', row(['What goes wrong', 'Promised', ...versions]));
    lines.push(row(['---', '---', ...versions.map(() => '---')]));
    for (const it of rows)
      lines.push(
        row([it.fault, it.promise, ...versions.map((version) => cellOf(it, results.get(version) ?? []))]),
      );
    lines.push('');
  }
  lines.push(
    '## Rules of a soak',
    '',
    `Producers and consumers are processes of their own; a proxy between them and the server reads what passes. "Soon" is within ${RECOVERY_LIMIT_MS / 1_000} s.`,
    '',
  );
  lines.push(...Object.keys(rules).map((rule) => `- ${rule}`), '');
  if (soaks.length > 0) lines.push('## Soaks', '', ...soakTable(soaks, row), '');
  return lines.join('\n');
}

function soakTable(soaks: readonly Report[], row: (cells: readonly string[]) => string): string[] {
  const columns: [string, (report: Report) => string | number][] = [
    ['RabbitMQ', ({ version }) => version],
    ['Seed', ({ seed }) => seed],
    ['Minutes', ({ minutes }) => minutes],
    ['Faults', ({ faults }) => faults],
    ['Sends', ({ sends }) => sends],
    ['Resolved', ({ sent }) => sent],
    [
      'Rejected',
      ({ failed }) =>
        Object.entries(failed)
          .map(([code, times]) => `${times} ${code}`)
          .join(', ') || '0',
    ],
    ['Handled', ({ handled }) => handled],
    ['Dead letters', ({ deadLetters }) => deadLetters],
    ['Handled more than once', ({ duplicates }) => duplicates],
    ['Lost', ({ lost }) => lost],
    ['Recovery, median', ({ medianRecoveryMs }) => `${medianRecoveryMs} ms`],
    ['Recovery, slowest', ({ slowestRecoveryMs }) => `${slowestRecoveryMs} ms`],
    ['Over 1 s', ({ recoveriesOverOneSecond }) => recoveriesOverOneSecond],
    ['Largest heap', ({ mostHeapMiB }) => `${mostHeapMiB} MiB`],
    ['Rules broken', ({ broken }) => Object.keys(broken).join(', ') || 'none'],
  ];
  return [
    row(['', ...soaks.map((_, n) => `Run ${n + 1}`)]),
    row(['---', ...soaks.map(() => '---')]),
    ...columns.map(([name, value]) => row([name, ...soaks.map((report) => `${value(report)}`)])),
  ];
}

function readResults(folder: string): Results {
  const results = new Map<string, TestResult[]>();
  for (const name of readdirSync(folder).sort()) {
    const version = /^reliability-([\d.]+?)(?:-.*)?\.json$/.exec(name)?.[1];
    if (version === undefined) continue;
    const { testResults } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as VitestReport;
    const tests = testResults.flatMap(({ name: file, assertionResults }) =>
      assertionResults.map(({ title, status, meta }) => ({ file, title, status, measured: meta.measured })),
    );
    results.set(version, [...(results.get(version) ?? []), ...tests]);
  }
  return results;
}

function readSoaks(folder: string): Report[] {
  const names = readdirSync(folder).filter((name) => /^soak-.*\.json$/.test(name));
  return names.sort().map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Report);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync('docs', { recursive: true });
  writeFileSync('docs/reliability.md', render(readResults('reports'), readSoaks('reports')));
}
