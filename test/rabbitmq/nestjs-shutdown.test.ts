import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Broker } from 'leveret';
import { expect, it } from 'vitest';
import { billing, emails, orders } from '../../examples/nestjs/contracts.js';
import { createVhost } from '../helpers/server/index.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const MESSAGES = 1_000;

/** The example for NestJS, as a process of its own, and what it has logged. */
function startExample(url: string): {
  readonly process: ChildProcess;
  readonly lines: () => readonly string[];
} {
  const example = `${root}/examples/nestjs/main.ts`;
  const loaders = ['--import', 'tsx', '--import', `${root}/examples/support/decorators.mjs`];
  const child = spawn(process.execPath, [...loaders, example], {
    cwd: root,
    env: { ...process.env, RABBITMQ_URL: url, PORT: '0', NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  return { process: child, lines: () => output.split('\n') };
}

/** The ids of the orders of which this was logged, in order. */
function ordersThat(what: 'begins' | 'ends', lines: readonly string[]): string[] {
  return lines.flatMap((line) => new RegExp(`\\[BillingConsumer\\] (\\S+) ${what}`).exec(line)?.[1] ?? []);
}

it('ends every handler before any provider, begins none afterwards, and loses nothing, when a signal comes under load', {
  timeout: 120_000,
}, async () => {
  await using vhost = await createVhost();
  await using broker = await Broker.connect(vhost.url);
  await broker.declare(billing, emails);
  const body = (id: string) => ({ id, email: 'ada@example.com', total: 12 });
  const ids = Array.from({ length: MESSAGES }, (_, index) => `order-${index}`);
  const bodies = ids.map(body);
  await broker.producer(orders).sendAll(bodies, { each: { routingKey: 'order.placed' } });

  const example = startExample(vhost.url);
  const ended = once(example.process, 'exit');
  try {
    await expect
      .poll(() => ordersThat('ends', example.lines()).length, { timeout: 40_000 })
      .toBeGreaterThan(20);
    expect(ordersThat('begins', example.lines()).length).toBeGreaterThan(
      ordersThat('ends', example.lines()).length,
    );
    example.process.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  } finally {
    example.process.kill('SIGKILL');
  }

  const lines = example.lines();
  const begun = ordersThat('begins', lines);
  const done = ordersThat('ends', lines);
  const closed = lines.findIndex((line) => line.includes('[Ledger] closed'));
  expect([...begun].sort()).toEqual([...done].sort());
  expect(closed).toBeGreaterThan(0);
  expect([...ordersThat('begins', lines.slice(closed)), ...ordersThat('ends', lines.slice(closed))]).toEqual(
    [],
  );

  const left: string[] = [];
  const rest = broker.consumer(billing, (message) => void left.push(message.body.id), { concurrency: 100 });
  await rest.ready;
  await expect.poll(() => left.length + done.length, { timeout: 20_000 }).toBe(MESSAGES);
  await rest.close();
  expect([...done, ...left].sort()).toEqual([...ids].sort());
  expect(done.length).toBeLessThan(MESSAGES);
});
