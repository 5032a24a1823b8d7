import { spawn } from 'node:child_process';
import { canInstallWithApt } from '../server/apt.js';
import type { DatabaseServer, Way } from './types.js';

/** Asks one way after the other, and prints what was found. Rejects with one error that says what to do. */
export async function firstOf(name: string, variable: string, ways: readonly Way[]): Promise<DatabaseServer> {
  for (const way of ways) {
    const server = await way();
    if (!server) continue;
    console.log(`Tests run on ${name} ${server.version}: ${server.description}`);
    return server;
  }
  throw new Error(
    `The tests need ${name}, and found none. Set ${variable}, start Docker, or install ${name} on this machine ` +
      '(as root on Debian or Ubuntu, the tests install it themselves).',
  );
}

/** Installs a package of the distribution, announced. False where that is not possible. */
export async function installPackage(name: string): Promise<boolean> {
  if (!canInstallWithApt()) return false;
  console.log(`Installing ${name} with apt-get, since the tests need it and none was found …`);
  const script = 'apt-get update && apt-get install -y --no-install-recommends "$0"';
  const child = spawn('flock', ['/var/lock/leveret-tests-apt', 'sh', '-c', script, name], {
    // A service of the package's own is not wanted.
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4_000);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  if (code !== 0) throw new Error(`apt-get could not install ${name} (exit code ${code}):\n${errors}`);
  return true;
}
