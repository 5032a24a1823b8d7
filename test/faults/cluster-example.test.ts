import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type PrivateServer, startPrivateCluster } from '../helpers/server/index.js';

const example = fileURLToPath(new URL('../../examples/17-cluster.ts', import.meta.url));

let nodes: PrivateServer[] = [];
beforeAll(async () => {
  nodes = await startPrivateCluster(3);
}, 180_000);
afterAll(async () => {
  for (const node of nodes.toReversed()) await node.stop();
});

/** The node that has the leader of a queue. */
async function leaderOf(name: string): Promise<PrivateServer | undefined> {
  const [node] = nodes as [PrivateServer];
  const { leader } = await node.management.request<{ leader?: string }>('GET', `queues/%2F/${name}`);
  return nodes.find(({ url }) => leader?.includes(new URL(url).port));
}

describe('the example of a cluster', () => {
  it('misses no payment when the node of its queue is killed', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', example], {
      env: { ...process.env, RABBITMQ_URLS: nodes.map(({ url }) => url).join() },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    const exit = once(child, 'exit');
    await expect.poll(() => output, { timeout: 60_000 }).toContain('stop a node now');
    const leader = await leaderOf('example.payments');
    expect(leader).toBeDefined();
    await leader?.kill();
    expect(await exit, output).toEqual([0, null]);
    expect(output.trim().split('\n').slice(-2)).toEqual([
      '300 payments are confirmed.',
      '300 payments are handled, 0 are missing.',
    ]);
  });
});
