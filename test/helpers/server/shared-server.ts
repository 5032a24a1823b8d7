import { ManagementApi } from './management.js';
import { startSharedServer } from './private-server.js';
import { probeAmqp, withoutCredentials } from './probe.js';
import type { TestServer } from './types.js';

/**
 * Finds the server that most tests share and prints which it is: the one named by `RABBITMQ_URL`, else a Docker container,
 * else a node of the RabbitMQ installed on this machine, else one of a RabbitMQ installed for it. Rejects with one
 * error that says what to do.
 */
export async function acquireServer(): Promise<TestServer> {
  const given = process.env.RABBITMQ_URL;
  const server = given ? await useGivenServer(given) : await startSharedServer();
  console.log(
    `Tests run on RabbitMQ ${server.version}: ${server.description}, ${withoutCredentials(server.url)}, management at ${withoutCredentials(server.managementUrl)}`,
  );
  return server;
}

async function useGivenServer(given: string): Promise<TestServer> {
  const url = new URL(given);
  url.pathname = '';
  const managementUrl = process.env.RABBITMQ_MANAGEMENT_URL || guessManagementUrl(url);
  const version = await probeAmqp(given).catch((error: unknown) => {
    throw new Error(
      `RABBITMQ_URL is set, but no RabbitMQ could be reached at ${withoutCredentials(given)}.`,
      {
        cause: error,
      },
    );
  });
  await new ManagementApi(managementUrl).version().catch((error: unknown) => {
    throw new Error(
      'The tests create virtual hosts through the management API of the server named by RABBITMQ_URL, and it does not answer. ' +
        'Enable the plugin rabbitmq_management there, use a user tagged administrator, and set RABBITMQ_MANAGEMENT_URL if it is not at port 15672.',
      { cause: error },
    );
  });
  return { url: url.href, managementUrl, version, description: 'RABBITMQ_URL', stop: async () => undefined };
}

function guessManagementUrl({ hostname, username, password }: URL): string {
  const url = new URL(`http://${hostname}:15672`);
  url.username = username || 'guest';
  url.password = password || 'guest';
  return url.href;
}
