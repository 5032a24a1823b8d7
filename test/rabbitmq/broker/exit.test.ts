import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createVhost } from '../../helpers/server/index.js';
import { freePort } from '../../helpers/server/ports.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const program = fileURLToPath(new URL('./exit-program.ts', import.meta.url));

/** Runs the program. `exited` tells how it ended, and how long after its last line. */
function run(what: string, url: string) {
  const child = spawn(process.execPath, ['--import', 'tsx', program, what, url]);
  let stdout = '';
  let stderr = '';
  let lastOutputAt = performance.now();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    lastOutputAt = performance.now();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exited = once(child, 'close').then(([code]: unknown[]) => ({
    code,
    stderr,
    lastLine: stdout.trim().split('\n').at(-1),
    afterMs: performance.now() - lastOutputAt,
  }));
  return {
    exited,
    output: () => stdout,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

const clean = (lastLine: string) => ({ code: 0, stderr: '', lastLine });

describe('a process', () => {
  it('ends by itself after its broker was closed', async () => {
    await using vhost = await createVhost();
    await using child = run('closed', vhost.url);
    const end = await child.exited;
    expect(end).toMatchObject(clean('done {"clean":true}'));
    expect(end.afterMs).toBeLessThan(1_000);
  });

  it('is not kept alive by a broker that was never connected', async () => {
    await using child = run('never connected', `amqp://127.0.0.1:${await freePort()}`);
    expect(await child.exited).toMatchObject(clean('done undefined'));
  });

  it('ends by itself after a start that failed', async () => {
    await using child = run('failed to start', `amqp://127.0.0.1:${await freePort()}`);
    const end = await child.exited;
    expect(end).toMatchObject(clean('done "CONNECTION_FAILED"'));
    expect(end.afterMs).toBeLessThan(1_000);
  });

  it('ends by itself after a broker was closed that the server had lost sight of', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using child = run('out of reach', proxy.via(vhost.url));
    await expect.poll(() => child.output(), { timeout: 15_000 }).toMatch(/ready/);
    proxy.blackhole(true);
    const end = await child.exited;
    expect(end).toMatchObject(clean('done {"clean":false}'));
    expect(end.afterMs).toBeLessThan(1_000);
  });
});
