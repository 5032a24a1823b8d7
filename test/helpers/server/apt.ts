import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Whether this is a Debian or Ubuntu on which packages may be installed. */
export function canInstallWithApt(): boolean {
  return process.getuid?.() === 0 && existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get');
}

/**
 * Installs the distribution's RabbitMQ. The package may start a service of its own, which is left alone. Test processes
 * that get here at the same time wait for the first.
 */
export async function installWithApt(): Promise<void> {
  console.log(
    'Installing rabbitmq-server with apt-get, since the tests need a RabbitMQ and none was found …',
  );
  const script =
    'test -x /usr/lib/rabbitmq/bin/rabbitmq-server || { apt-get update && apt-get install -y rabbitmq-server; }';
  const child = spawn('flock', ['/var/lock/leveret-tests-apt', 'sh', '-c', script], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-4_000);
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  if (code !== 0)
    throw new Error(`apt-get could not install rabbitmq-server (exit code ${code}):\n${output}`);
}
