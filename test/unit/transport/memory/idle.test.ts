import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('brokers in memory cost nothing while they idle, and once closed leave no timer and let the process exit', {
  timeout: 60_000,
}, async () => {
  const program = fileURLToPath(new URL('idle-program.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', program], { stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    const [stdout, stderr, [exitCode]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    const { before, idle, closed, idleCpuMs } = JSON.parse(stdout);
    // What keeps the process alive as an open socket would: one timer of 24 days for each of two connections of three brokers.
    expect(idle).toEqual([...before, ...Array.from({ length: 6 }, () => 'Timeout')]);
    expect(closed).toEqual(before);
    // Of a second: what the process itself takes for a timer.
    expect(idleCpuMs).toBeLessThan(100);
  } finally {
    child.kill('SIGKILL');
  }
});
