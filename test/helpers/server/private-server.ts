import { canInstallWithApt, installWithApt } from './apt.js';
import { dockerAnswers, startContainer } from './docker.js';
import { findInstallation, startLocalCluster, startLocalNode } from './local-node.js';
import type { PrivateServer, PrivateServerOptions } from './types.js';

/** One way to get a server. It returns `undefined` where it does not apply and rejects where it should have worked. */
type Way = (options?: PrivateServerOptions) => Promise<PrivateServer | undefined>;

const docker: Way = async (options) => ((await dockerAnswers()) ? startContainer(options) : undefined);

const local: Way = async (options) => {
  const installation = findInstallation();
  return installation === undefined ? undefined : startLocalNode(installation, options);
};

const apt: Way = async (options) => {
  if (findInstallation() !== undefined || !canInstallWithApt()) return undefined;
  await installWithApt();
  return local(options);
};

/** `RABBITMQ_ROOT` asks for one version: no other will do. */
const chosen = process.env.RABBITMQ_ROOT ? [local] : undefined;

/**
 * Starts a server of this test alone: a node of the RabbitMQ installed here (in `RABBITMQ_ROOT` where that is set), else a
 * Docker container, else a node of a RabbitMQ installed for it.
 */
export function startPrivateServer(options?: PrivateServerOptions): Promise<PrivateServer> {
  return firstOf(chosen ?? [local, docker, apt], options);
}

/** Starts nodes on this machine that form a cluster of this test alone. Stop the first one last. */
export async function startPrivateCluster(
  size: number,
  options?: PrivateServerOptions,
): Promise<PrivateServer[]> {
  if (findInstallation() === undefined && canInstallWithApt()) await installWithApt();
  const installation = findInstallation();
  if (installation === undefined) throw new Error(howToGetOne([]));
  return startLocalCluster(installation, size, options);
}

/** Starts the server that most tests share. */
export function startSharedServer(): Promise<PrivateServer> {
  return firstOf(chosen ?? [docker, local, apt]);
}

async function firstOf(ways: readonly Way[], options?: PrivateServerOptions): Promise<PrivateServer> {
  const errors: unknown[] = [];
  for (const way of ways) {
    try {
      const server = await way(options);
      if (server) return server;
    } catch (error) {
      errors.push(error);
      console.warn(`A way to start RabbitMQ for the tests failed: ${reasonOf(error)}`);
    }
  }
  throw new Error(howToGetOne(errors), { cause: errors.at(-1) });
}

function howToGetOne(errors: readonly unknown[]): string {
  return [
    'The tests need a RabbitMQ server and could not get one. Do one of these:',
    '  - set RABBITMQ_URL (and RABBITMQ_MANAGEMENT_URL) to a server with the management plugin whose user is an administrator;',
    '  - start Docker, for the image rabbitmq:4-management;',
    '  - install rabbitmq-server on this machine; on Debian and Ubuntu the tests do so themselves when run as root.',
    process.env.RABBITMQ_ROOT ? `No RabbitMQ was found in RABBITMQ_ROOT=${process.env.RABBITMQ_ROOT}.` : '',
    ...errors.map((error) => `What was tried: ${reasonOf(error)}`),
  ]
    .filter((line) => line !== '')
    .join('\n');
}

/** The messages of an error and of what caused it. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message} (${reasonOf(error.cause)})`;
}
