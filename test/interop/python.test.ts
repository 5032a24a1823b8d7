import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Broker, procedure, queue } from 'leveret';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { canInstallWithApt } from '../helpers/server/apt.js';
import { createVhost, type TestVhost } from '../helpers/server/index.js';

const execute = promisify(execFile);

/** The system's own: its packages are those of the distribution. */
const PYTHON = '/usr/bin/python3';

const PEERS = { pika: 'pika_peer.py', 'aio-pika': 'aio_pika_peer.py' } as const;
const peers = Object.keys(PEERS) as (keyof typeof PEERS)[];

async function installPeers(): Promise<void> {
  const hasPeers = () =>
    execute(PYTHON, ['-c', 'import pika, aio_pika']).then(
      () => true,
      () => false,
    );
  if (await hasPeers()) return;
  if (canInstallWithApt()) {
    const script =
      'apt-get update && apt-get install -y --no-install-recommends python3-pika python3-aio-pika';
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await execute('flock', ['/var/lock/leveret-tests-apt', 'sh', '-c', script], { env });
  }
  if (!(await hasPeers()))
    throw new Error(
      'These tests need the Python packages pika and aio-pika: apt-get install python3-pika python3-aio-pika',
    );
}

let vhost: TestVhost;
let broker: Broker;

/** Runs a peer to its end. Resolves with the lines that it printed. */
async function peer(name: keyof typeof PEERS, mode: string, queueName: string, ...rest: string[]) {
  const script = fileURLToPath(new URL(PEERS[name], import.meta.url));
  const { stdout } = await execute(PYTHON, [script, mode, vhost.url, queueName, ...rest], {
    timeout: 60_000,
  });
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

beforeAll(async () => {
  await installPeers();
  vhost = await createVhost();
  broker = await Broker.connect(vhost.url);
}, 300_000);
afterAll(async () => {
  await broker.close();
  await vhost[Symbol.asyncDispose]();
});

describe.each(peers)('a program on %s', (name) => {
  const options = { type: 'classic', deadLetter: false, contentTypes: 'any' } as const;

  it('sends JSON, which the schema checks', async () => {
    const tasks = queue(`tasks.${name}`, z.object({ n: z.int() }), { ...options, retry: false });
    await peer(name, 'send', tasks.name, '{"n":1}', '{"n":"two"}', '{"n":3}');
    const seen: number[] = [];
    const invalid: string[] = [];
    broker.on('invalid-message', ({ queue, issues }) => {
      if (queue === tasks.name) invalid.push(issues.map(({ path }) => path.join('.')).join());
    });
    const consumer = broker.consumer(tasks, ({ body }) => void seen.push(body.n));
    await vi.waitFor(() => expect(seen).toEqual([1, 3]), 20_000);
    expect(invalid).toEqual(['n']);
    await consumer.close();
  });

  it('sends plain text, which the codec text takes as it is', async () => {
    const greetings = queue(`greetings.${name}`, z.string(), { ...options, codec: 'text' });
    await peer(name, 'send', greetings.name, 'Hello World!', 'Привет, мир');
    const seen: string[] = [];
    const consumer = broker.consumer(greetings, ({ body }) => void seen.push(body));
    await vi.waitFor(() => expect(seen).toEqual(['Hello World!', 'Привет, мир']), 20_000);
    await consumer.close();
  });

  it('receives what Leveret sends', async () => {
    const mails = queue(`mails.${name}`, z.object({ to: z.string() }), options);
    await broker.producer(mails).send({ to: 'ada@example.com' }, { headers: { tenant: 'acme' } });
    await broker.producer(mails).send({ to: 'bob@example.com' });
    const received = { contentType: 'application/json', hasId: true };
    expect(await peer(name, 'receive', mails.name, '2')).toMatchObject([
      { ...received, body: '{"to":"ada@example.com"}', headers: { tenant: 'acme' } },
      { ...received, body: '{"to":"bob@example.com"}' },
    ]);
  });
});

describe('a program on aio-pika', () => {
  it('asks a responder, and gets its answer', async () => {
    const quote = procedure('quote', {
      request: z.object({ sku: z.string() }),
      response: z.object({ price: z.number() }),
    });
    const responder = broker.responder(quote, ({ body }) => ({ price: body.sku.length }));
    await responder.ready;
    const answer = { body: '{"price":2}', matches: true };
    expect(await peer('aio-pika', 'ask', quote.name, '{"sku":"A1"}')).toEqual([answer]);
    await responder.close();
  });
});
