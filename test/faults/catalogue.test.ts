import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { catalogue, type Row } from './catalogue.js';
import { render } from './document.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const rows: readonly Row[] = Object.values(catalogue).flat();
const read = (path: string) => readFileSync(join(root, path), 'utf8');

describe('the catalogue of faults', () => {
  it.each(rows.map((row) => [row.id, row] as const))('names tests that exist for %s', (_id, { heldBy }) => {
    expect(heldBy.length).toBeGreaterThan(0);
    for (const [file, title] of heldBy) expect(read(file)).toContain(`'${title}'`);
  });

  it('tells its rows apart', () => {
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
  });

  it('is in the document, row by row', () => {
    const document = read('docs/reliability.md');
    for (const { fault, promise } of rows) expect(document).toContain(`| ${fault} | ${promise} |`);
  });
});

describe('the document', () => {
  const file = join(root, 'test/rabbitmq/crash.test.ts');
  const title = 'loses no confirmed message, settles every send, and confirms the next one within a second';
  const lineOf = (status: string, measured?: string) =>
    render(new Map([['4.3', [{ file, title, status, measured }]]]), [])
      .split('\n')
      .find((line) => line.startsWith('| The server is killed'));

  it('says what a run has measured, what has failed, and what was not run', () => {
    expect(lineOf('passed', '7 ms')).toMatch(/\| holds: 7 ms \|$/);
    expect(lineOf('passed')).toMatch(/\| holds \|$/);
    expect(lineOf('failed', '7 ms')).toMatch(/\| failed \|$/);
    expect(lineOf('skipped')).toMatch(/\| not run \|$/);
  });
});
