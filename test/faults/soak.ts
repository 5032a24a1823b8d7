/** Lets random faults happen for as long as it is told: `npm run soak -- --minutes 60 --seed 7`. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPrivateServer } from '../helpers/server/index.js';
import { readHistory } from './harness/history.js';
import { describeReport, reportOf } from './harness/report.js';
import { run } from './harness/run.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: `${Date.now() % 1_000_000}` },
    rate: { type: 'string', default: '100' },
  },
});
const seed = Number(values.seed);
const folder = await mkdtemp(join(tmpdir(), 'leveret-soak-'));
await using server = await startPrivateServer();
console.log(`RabbitMQ ${server.version}, seed ${seed}, ${values.minutes} minutes. Journals are in ${folder}`);
const record = await run({
  server,
  folder,
  seed,
  durationMs: Number(values.minutes) * 60_000,
  rate: Number(values.rate),
  onProgress: (line) => console.log(line),
});
const report = reportOf(record, await readHistory(record));
console.log(`\n${describeReport(report)}`);
await mkdir('reports', { recursive: true });
const [major, minor] = server.version.split('.');
await writeFile(`reports/soak-${major}.${minor}-${seed}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
if (Object.keys(report.broken).length > 0) process.exitCode = 1;
else await rm(folder, { recursive: true });
