import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PrivateServer, startPrivateServer } from '../helpers/server/index.js';
import { readHistory } from './harness/history.js';
import { settler } from './harness/rules.js';
import { type RunOptions, run } from './harness/run.js';

let server: PrivateServer;
let folder: string;

beforeAll(async () => {
  server = await startPrivateServer();
  folder = await mkdtemp(join(tmpdir(), 'leveret-broken-'));
}, 100_000);

afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true });
});

/** What the harness has against a run. */
async function complaints(name: string, options: Partial<RunOptions>) {
  const record = await run({
    server,
    folder: join(folder, name),
    seed: 1,
    durationMs: 60_000,
    everyMs: 500,
    patienceMs: 8_000,
    producers: 1,
    consumers: 1,
    isPlain: true,
    ...options,
  });
  return settler(record, await readHistory(record));
}

/** A harness that finds nothing proves something only if it would have found something. */
describe.concurrent('the harness', { timeout: 180_000 }, () => {
  const cut = 'every connection is reset';

  it('has nothing against a client that keeps its promises', async () => {
    const faults = [
      cut,
      'a consumer is killed',
      'nothing comes back, then a reset',
      'a long black hole',
    ] as const;
    expect(await complaints('sound', { faults })).toEqual({});
  });

  it('finds out a client that acknowledges before its handler has ended, and loses messages', async () => {
    const broken = await complaints('acks-early', {
      clients: { consumer: 'acks-early' },
      consumers: 2,
      faults: ['a consumer is killed', 'a consumer is killed'],
      slowMs: 2_000,
    });
    expect(broken).toHaveProperty('nothing is acknowledged before its handler has ended');
    expect(broken).toHaveProperty('no resolved send is missing');
  });

  it('finds out a client that acknowledges an old delivery on its new channel', async () => {
    const broken = await complaints('acks-on-the-new-channel', {
      clients: { consumer: 'acks-on-the-new-channel' },
      faults: [cut, cut, cut, cut],
      slowMs: 4_000,
    });
    const found = [
      ...(broken['no unknown delivery tag'] ?? []),
      ...(broken['nothing is acknowledged before its handler has ended'] ?? []),
    ];
    expect(found).not.toEqual([]);
  });

  it('finds out a client that takes what is written for sent', async () => {
    const broken = await complaints('without-confirms', {
      clients: { producer: 'without-confirms' },
      // What is written meanwhile never arrives.
      faults: ['nothing arrives, then a reset', 'nothing arrives, then a reset'],
      rate: 500,
    });
    expect(broken).toHaveProperty('no resolved send is missing');
  });

  it('finds out a client that leaves its dead sockets open', async () => {
    const broken = await complaints('leaves-sockets', {
      clients: { consumer: 'leaves-sockets' },
      faults: ['open connections freeze'],
      patienceMs: 4_000,
    });
    expect(broken).toHaveProperty('one socket for each role');
    expect(broken).toHaveProperty('the run itself');
  });
});
