import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Redis } from 'ioredis';
import { dockerAnswers } from '../server/docker.js';
import { freePort } from '../server/ports.js';
import { PrivateProcess, privateFolder } from './private-process.js';
import type { DatabaseServer, Way } from './types.js';
import { firstOf, installPackage } from './ways.js';

/**
 * Finds the Redis that the tests share: the one named by `REDIS_URL`, else a Docker container, else a private server of the
 * Redis installed on this machine, else one of a Redis installed for it.
 */
export function acquireRedis(): Promise<DatabaseServer> {
  return firstOf('Redis', 'REDIS_URL', [given, docker, local, apt]);
}

const given: Way = async () => {
  const url = process.env.REDIS_URL;
  if (!url) return undefined;
  return { url, version: await versionAt(url), description: 'REDIS_URL', stop: async () => undefined };
};

const docker: Way = async () => {
  if (!(await dockerAnswers())) return undefined;
  const { GenericContainer, Wait } = await import('testcontainers');
  const container = await new GenericContainer(process.env.REDIS_IMAGE || 'redis:7')
    .withExposedPorts(6379)
    .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections/))
    .start();
  const url = `redis://${container.getHost()}:${container.getMappedPort(6379)}`;
  const stop = async () => void (await container.stop());
  return { url, version: await versionAt(url), description: 'a Docker container', stop };
};

const local: Way = async () => {
  const program = findProgram();
  if (program === undefined) return undefined;
  const folder = await privateFolder('redis', {});
  const port = await freePort();
  const args = [
    '--port',
    `${port}`,
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    folder,
  ];
  const server = new PrivateProcess(folder, program, args, {});
  const url = `redis://127.0.0.1:${port}`;
  const version = await server.answers(() => versionAt(url));
  return { url, version, description: 'a private server on this machine', stop: () => server.stop() };
};

const apt: Way = async () => {
  if (findProgram() !== undefined || !(await installPackage('redis-server'))) return undefined;
  return local();
};

function findProgram(): string | undefined {
  const folders = [
    '/usr/bin',
    '/usr/local/bin',
    '/opt/homebrew/bin',
    ...(process.env.PATH ?? '').split(delimiter),
  ];
  return ['redis-server', 'valkey-server']
    .flatMap((name) => folders.filter((folder) => folder !== '').map((folder) => join(folder, name)))
    .find((path) => existsSync(path));
}

async function versionAt(url: string): Promise<string> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 5_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    const info = await client.info('server');
    return /redis_version:(\S+)/.exec(info)?.[1] ?? 'unknown';
  } finally {
    client.disconnect();
  }
}
