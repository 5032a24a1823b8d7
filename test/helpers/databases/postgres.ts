import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import pg from 'pg';
import { dockerAnswers } from '../server/docker.js';
import { freePort } from '../server/ports.js';
import { PrivateProcess, privateFolder, run, unprivileged } from './private-process.js';
import type { DatabaseServer, Way } from './types.js';
import { firstOf, installPackage } from './ways.js';

/**
 * Finds the PostgreSQL that the tests share: the one named by `DATABASE_URL`, else a Docker container, else a private cluster of
 * the PostgreSQL installed on this machine, else one of a PostgreSQL installed for it.
 */
export function acquirePostgres(): Promise<DatabaseServer> {
  return firstOf('PostgreSQL', 'DATABASE_URL', [given, docker, local, apt]);
}

const given: Way = async () => {
  const url = process.env.DATABASE_URL;
  if (!url) return undefined;
  const version = await versionAt(url);
  return { url, version, description: 'DATABASE_URL', stop: async () => undefined };
};

const docker: Way = async () => {
  if (!(await dockerAnswers())) return undefined;
  const { GenericContainer, Wait } = await import('testcontainers');
  const container = await new GenericContainer(process.env.POSTGRES_IMAGE || 'postgres:17')
    .withEnvironment({ POSTGRES_HOST_AUTH_METHOD: 'trust' })
    .withExposedPorts(5432)
    // It starts twice: the first time to make its cluster.
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
    .start();
  const url = `postgres://postgres@${container.getHost()}:${container.getMappedPort(5432)}/postgres`;
  const stop = async () => void (await container.stop());
  return { url, version: await versionAt(url), description: 'a Docker container', stop };
};

const local: Way = async () => {
  const folder = findInstallation();
  return folder === undefined ? undefined : startCluster(folder);
};

const apt: Way = async () => {
  if (findInstallation() !== undefined || !(await installPackage('postgresql'))) return undefined;
  return local();
};

/** The folder that holds `initdb` and `postgres`, of the newest version that is installed. */
export function findInstallation(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian) : [];
  const folders = [
    process.env.POSTGRES_BIN ?? '',
    ...versions
      .filter((name) => Number(name) >= 13)
      .sort((a, b) => Number(b) - Number(a))
      .map((version) => join(debian, version, 'bin')),
    ...['/opt/homebrew', '/usr/local'].map((prefix) => join(prefix, 'opt/postgresql/bin')),
    '/usr/pgsql/bin',
    ...(process.env.PATH ?? '').split(delimiter),
  ];
  return folders.find((folder) => folder !== '' && existsSync(join(folder, 'initdb')));
}

/** Starts a cluster with its own data and port, on the loopback interface. Nothing in it survives a power cut. */
async function startCluster(installation: string): Promise<DatabaseServer> {
  const identity = await unprivileged();
  const folder = await privateFolder('postgres', identity);
  const data = join(folder, 'data');
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'];
  await run(join(installation, 'initdb'), initdb, { ...identity, cwd: folder });
  const port = await freePort();
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: process.env.POSTGRES_FSYNC || 'off',
    max_connections: '200',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = new PrivateProcess(
    folder,
    join(installation, 'postgres'),
    ['-D', data, '-p', `${port}`, ...args],
    identity,
  );
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const version = await server.answers(() => versionAt(url));
  return { url, version, description: 'a private cluster on this machine', stop: () => server.stop() };
}

async function versionAt(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    const { rows } = await client.query<{ version: string }>(
      "select split_part(current_setting('server_version'), ' ', 1) as version",
    );
    return rows[0]?.version ?? 'unknown';
  } finally {
    await client.end();
  }
}
