import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readHistory } from '../../faults/harness/history.js';
import { Journal, type Note } from '../../faults/harness/journal.js';
import type { RunRecord } from '../../faults/harness/run.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'leveret-history-'));
});
afterEach(() => rm(folder, { recursive: true }));

const pathOf = (name: string) => join(folder, `${name}.jsonl`);

function noted(name: string, role: string, ...notes: readonly Note[]) {
  const journal = new Journal(pathOf(name));
  for (const note of notes) journal.note(note);
  return { name, role, journal: pathOf(name) };
}

const read = (...programs: readonly ReturnType<typeof noted>[]) =>
  readHistory({ programs } as unknown as RunRecord);

const start = (k: string, run: number) =>
  ({ e: 'start', k, run, id: 'id-1', attempt: 1, redelivered: false }) as const;

describe('the history of a run', () => {
  it('joins what the sender of a message noted with what its handlers did', async () => {
    const consumer = noted(
      'consumer-1',
      'consumer',
      start('m', 1),
      start('m', 2),
      { e: 'end', k: 'm', run: 1, how: 'failed' },
      start('unknown', 3),
      { e: 'closed', clean: true, ms: 5 },
    );
    const producer = noted(
      'producer-1',
      'producer',
      { e: 'send', k: 'm', kind: 'plain', queue: 'work' },
      { e: 'send', k: 'n', kind: 'plain', queue: 'work' },
      { e: 'send', k: 'o', kind: 'slow', queue: 'work' },
      { e: 'sent', k: 'm', id: 'id-1' },
      { e: 'failed', k: 'n', code: 'TIMEOUT', maybeDelivered: false },
    );
    const { messages, others, strangers } = await read(consumer, producer);
    expect(messages.get('m')).toMatchObject({
      kind: 'plain',
      program: 'producer-1',
      settled: { id: 'id-1' },
      runs: [
        { program: 'consumer-1', how: 'failed', endedAt: expect.any(Number) },
        { program: 'consumer-1', how: undefined, endedAt: undefined },
      ],
    });
    expect(messages.get('n')).toMatchObject({
      settled: { code: 'TIMEOUT', maybeDelivered: false },
      runs: [],
    });
    expect(messages.get('n')?.settled?.id).toBeUndefined();
    expect(messages.get('o')?.settled).toBeUndefined();
    expect(others.get('consumer-1')).toMatchObject([{ e: 'closed' }]);
    expect(strangers).toBe(1);
  });

  it('leaves out a last line that a kill has cut short, and nothing else', async () => {
    const producer = noted('producer-1', 'producer', { e: 'send', k: 'm', kind: 'plain', queue: 'work' });
    await appendFile(producer.journal, '{"t":5,"e":"sent","k":"m","i');
    const { messages } = await read(producer);
    expect(messages.get('m')).toMatchObject({ settled: undefined });
  });
});
