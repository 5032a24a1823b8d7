import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startPrivateServer } from '../helpers/server/index.js';
import { readHistory } from './harness/history.js';
import { describeReport, reportOf } from './harness/report.js';
import { run } from './harness/run.js';
import { measured } from './measured.js';

const seed = Number(process.env.LEVERET_SEED ?? Date.now() % 1_000_000);

it('a minute of random faults breaks no promise', { timeout: 300_000 }, async ({ task }) => {
  await using server = await startPrivateServer();
  const folder = await mkdtemp(join(tmpdir(), 'leveret-soak-'));
  const record = await run({ server, folder, seed, durationMs: 60_000 });
  const report = reportOf(record, await readHistory(record));
  console.log(describeReport(report));
  measured(
    task,
    `${report.faults} faults in ${report.minutes} min: ${report.sent} of ${report.sends} sends resolved, ${report.lost} lost`,
  );
  const again = `Repeat it with LEVERET_SEED=${seed}. The journals are in ${folder}`;
  expect(report.broken, again).toEqual({});
  await rm(folder, { recursive: true });
});
