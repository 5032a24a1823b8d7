import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Broker, queue } from 'leveret';
import { describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { createVhost, queueDepth } from '../../helpers/server/index.js';

const program = fileURLToPath(new URL('./replay-program.ts', import.meta.url));
const jobs = queue('jobs', z.object({ n: z.number() }));

/** Runs the program, and kills it when it says that it is in the middle. */
async function killInTheMiddle(what: 'replays' | 'holds', url: string): Promise<void> {
  const child = spawn(process.execPath, ['--import', 'tsx', program, what, url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  try {
    await once(child.stdout, 'data');
  } finally {
    child.kill('SIGKILL');
  }
  expect(await exited).toEqual([null, 'SIGKILL']);
}

describe('a process that is killed while it replays dead letters', () => {
  it('loses none: each is in one queue, or in both, with its id', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    await broker.declare(jobs);
    const count = 3_000;
    for (let n = 0; n < count; n++)
      other.channel.sendToQueue('jobs.dead', Buffer.from(JSON.stringify({ n })), { messageId: `${n}` });
    await other.channel.waitForConfirms();

    await killInTheMiddle('replays', vhost.url);
    // The server has noticed, and taken back what the process held.
    await expect
      .poll(async () => (await queueDepth(vhost.url, 'jobs')) + (await queueDepth(vhost.url, 'jobs.dead')), {
        timeout: 20_000,
      })
      .toBeGreaterThanOrEqual(count);
    const ids = async (name: string) =>
      (await other.takeAll(name, 1)).map(({ properties }) => Number(properties.messageId));
    const [back, stayed] = [await ids('jobs'), await ids('jobs.dead')];
    expect(back.length).toBeGreaterThanOrEqual(100);
    expect(stayed.length).toBeGreaterThan(0);
    expect([...new Set([...back, ...stayed])].sort((a, b) => a - b)).toEqual(
      Array.from({ length: count }, (_, n) => n),
    );
    expect(new Set(back).size).toBe(back.length);
    expect(back.length + stayed.length - count).toBeLessThanOrEqual(32);
  });

  it('leaves those that it only looked at where they were, in their order', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    await broker.declare(jobs);
    for (let n = 0; n < 300; n++) other.channel.sendToQueue('jobs.dead', Buffer.from(JSON.stringify({ n })));
    await other.channel.waitForConfirms();
    await killInTheMiddle('holds', vhost.url);
    await expect.poll(() => queueDepth(vhost.url, 'jobs.dead'), { timeout: 20_000 }).toBe(300);
    const letters = await broker.deadLetters(jobs).list({ limit: 300 });
    const found = letters.map(({ body }) => body.n);
    // What 3.x takes back from a process that is gone comes in any order.
    const isOrdered = !inject('server').version.startsWith('3.');
    expect(isOrdered ? found : found.sort((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, n) => n));
  });
});
