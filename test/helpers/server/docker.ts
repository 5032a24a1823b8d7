import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { StartedTestContainer } from 'testcontainers';
import { ManagementApi } from './management.js';
import { freePorts } from './ports.js';
import { waitUntilReady } from './probe.js';
import { tlsConfiguration, tlsFiles } from './tls-listener.js';
import { advancedConfig, type PrivateServer, type PrivateServerOptions } from './types.js';

const image = process.env.RABBITMQ_IMAGE || 'rabbitmq:4-management';
const startTimeoutMs = 90_000;
const tlsFolder = '/etc/rabbitmq';
/** Covers the download of the image. */
const pullTimeoutMs = 300_000;

/** Asks the Docker engine whether it is there, so that nothing waits for one that is not. */
export async function dockerAnswers(timeoutMs = 2_000): Promise<boolean> {
  const target = engineAddress();
  if (target === undefined) return false;
  return new Promise((resolve) => {
    const ping = request({ ...target, path: '/_ping', timeout: timeoutMs }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.once('timeout', () => ping.destroy(new Error('The Docker engine did not answer.')));
    ping.once('error', () => resolve(false));
    ping.end();
  });
}

function engineAddress(): { socketPath: string } | { host: string; port: string } | undefined {
  const host = process.env.DOCKER_HOST;
  if (host) {
    const url = new URL(host);
    if (url.protocol === 'unix:' || url.protocol === 'npipe:') return { socketPath: url.pathname };
    return { host: url.hostname, port: url.port || '2375' };
  }
  if (process.platform === 'win32') return { socketPath: '//./pipe/docker_engine' };
  const sockets = [
    '/var/run/docker.sock',
    join(homedir(), '.docker/run/docker.sock'),
    join(homedir(), '.docker/desktop/docker.sock'),
    join(process.env.XDG_RUNTIME_DIR ?? `/run/user/${process.getuid?.()}`, 'docker.sock'),
  ];
  const socketPath = sockets.find((path) => existsSync(path));
  return socketPath === undefined ? undefined : { socketPath };
}

/** Starts a container whose ports on this machine stay the same over a kill. */
export async function startContainer(options: PrivateServerOptions = {}): Promise<PrivateServer> {
  // Loaded only where there is a Docker engine: it takes most of a second.
  const { RabbitMQContainer } = await import('@testcontainers/rabbitmq');
  const [amqp, management, tls] = (await freePorts(3)) as [number, number, number];
  const configuration = [
    'collect_statistics_interval = 1000',
    ...(options.tls ? tlsConfiguration(tlsFolder, '5671') : []),
    ...(options.configuration ?? []),
    '',
  ];
  const plugins = ['rabbitmq_management', 'rabbitmq_prometheus', ...(options.plugins ?? [])];
  const container = await withDeadline(
    new RabbitMQContainer(image)
      .withExposedPorts(
        { container: 5672, host: amqp },
        { container: 15672, host: management },
        { container: 5671, host: tls },
      )
      .withCopyContentToContainer([
        { content: configuration.join('\n'), target: '/etc/rabbitmq/conf.d/90-tests.conf' },
        { content: advancedConfig(options), target: '/etc/rabbitmq/advanced.config' },
        { content: `[${plugins.join(',')}].\n`, target: '/etc/rabbitmq/enabled_plugins' },
        ...[...(options.tls ? tlsFiles(options.tls) : [])].map(([name, content]) => ({
          content,
          target: `${tlsFolder}/${name}`,
        })),
      ])
      .withAutoRemove(false)
      .withStartupTimeout(startTimeoutMs)
      .start(),
    pullTimeoutMs,
    `Docker did not start ${image} in ${pullTimeoutMs / 1000} s.`,
  );
  const host = container.getHost();
  const server = new ContainerServer(
    container,
    `amqp://guest:guest@${host}:${amqp}`,
    `http://guest:guest@${host}:${management}`,
    options.tls && `amqps://${host}:${tls}`,
  );
  try {
    await server.ready();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

class ContainerServer implements PrivateServer {
  readonly url: string;
  readonly managementUrl: string;
  readonly tlsUrl: string | undefined;
  readonly description = `a Docker container of ${image}`;
  readonly management: ManagementApi;
  version = 'unknown';
  readonly #container: StartedTestContainer;
  #stopped: Promise<void> | undefined;

  constructor(
    container: StartedTestContainer,
    url: string,
    managementUrl: string,
    tlsUrl: string | undefined,
  ) {
    this.tlsUrl = tlsUrl;
    this.#container = container;
    this.url = url;
    this.managementUrl = managementUrl;
    this.management = new ManagementApi(managementUrl);
  }

  async ready(): Promise<void> {
    const { url, managementUrl } = this;
    this.version = await waitUntilReady({ url, managementUrl, timeoutMs: startTimeoutMs });
  }

  async start(): Promise<void> {
    const handle = await this.#handle();
    if (!(await handle.inspect()).State.Running) await handle.start();
    await this.ready();
  }

  async kill(): Promise<void> {
    const handle = await this.#handle();
    if (!(await handle.inspect()).State.Running) return;
    await handle.kill({ signal: 'SIGKILL' });
    await handle.wait();
  }

  async shutdown(): Promise<void> {
    const handle = await this.#handle();
    if ((await handle.inspect()).State.Running) await handle.stop({ t: 60 });
  }

  async pause(): Promise<void> {
    await (await this.#handle()).pause();
  }

  async unpause(): Promise<void> {
    await (await this.#handle()).unpause();
  }

  async ctl(...args: string[]): Promise<string> {
    const { exitCode, output, stdout } = await this.#container.exec(['rabbitmqctl', ...args]);
    if (exitCode !== 0) throw new Error(`rabbitmqctl ${args.join(' ')} failed: ${output}`);
    return stdout;
  }

  async ctlWithInput(input: string, ...args: string[]): Promise<string> {
    const script = 'input=$1; shift; printf "%s" "$input" | rabbitmqctl "$@"';
    const { exitCode, output, stdout } = await this.#container.exec([
      'sh',
      '-c',
      script,
      'sh',
      input,
      ...args,
    ]);
    if (exitCode !== 0) throw new Error(`rabbitmqctl ${args.join(' ')} failed: ${output}`);
    return stdout;
  }

  async settleMetadata(): Promise<void> {
    await this.ctl('eval', '[dets:sync(T) || T <- dets:all()].');
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    await (await this.#handle()).remove({ force: true, v: true });
  }

  async #handle() {
    const { getContainerRuntimeClient } = await import('testcontainers');
    return (await getContainerRuntimeClient()).container.getById(this.#container.getId());
  }
}

async function withDeadline<Value>(
  promise: Promise<Value>,
  timeoutMs: number,
  message: string,
): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(message)), timeoutMs);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
