import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ManagementApi } from './management.js';
import { freePorts } from './ports.js';
import { waitUntilReady } from './probe.js';
import { tlsConfiguration, tlsFiles } from './tls-listener.js';
import { advancedConfig, type PrivateServer, type PrivateServerOptions } from './types.js';

const startTimeoutMs = 90_000;

/**
 * A folder with a system in it that has RabbitMQ, such as one unpacked by debootstrap with `proc` mounted; nodes run
 * chrooted into it, which needs root. That is how the suite is run against several versions on one machine.
 */
const root = process.env.RABBITMQ_ROOT || '/';

/** The scripts themselves first: the wrappers in Debian's /usr/sbin change the user. */
const folders = [
  '/usr/lib/rabbitmq/bin',
  '/opt/homebrew/opt/rabbitmq/sbin',
  '/usr/local/opt/rabbitmq/sbin',
  ...(process.env.PATH ?? '').split(delimiter),
];

/** The folder, as seen from inside the root, that holds `rabbitmq-server` and `rabbitmqctl`; undefined without one. */
export function findInstallation(): string | undefined {
  if (process.platform === 'win32') return undefined;
  return folders.find((folder) => folder !== '' && existsSync(join(root, folder, 'rabbitmq-server')));
}

/** Starts a node with its own data, ports and epmd, all on the loopback interface. */
export async function startLocalNode(
  installation: string,
  options: PrivateServerOptions = {},
): Promise<PrivateServer> {
  const node = await LocalNode.create(installation, options);
  try {
    await node.start();
  } catch (error) {
    await node.stop();
    throw error;
  }
  return node;
}

/** Starts several nodes that form a cluster. They share one epmd, which the first one owns: stop that one last. */
export async function startLocalCluster(
  installation: string,
  size: number,
  options: PrivateServerOptions = {},
): Promise<PrivateServer[]> {
  const [epmd, ...amqpPorts] = (await freePorts(1 + size)) as [number, ...number[]];
  const cookie = randomBytes(12).toString('hex');
  const peers = amqpPorts.map(
    (port, n) => `cluster_formation.classic_config.nodes.${n + 1} = ${nodeName(port)}`,
  );
  const configuration = [
    'cluster_formation.peer_discovery_backend = classic_config',
    ...peers,
    ...(options.configuration ?? []),
  ];
  const nodes: LocalNode[] = [];
  for (const amqp of amqpPorts) {
    const isFirst = nodes.length === 0;
    nodes.push(
      await LocalNode.create(installation, { ...options, configuration }, { amqp, epmd, cookie, isFirst }),
    );
  }
  try {
    await Promise.all(nodes.map((node) => node.start()));
  } catch (error) {
    for (const node of nodes.reverse()) await node.stop();
    throw error;
  }
  return nodes;
}

/** What a node has in common with the others of its cluster. */
interface Membership {
  readonly amqp: number;
  readonly epmd: number;
  readonly cookie: string;
  /** It is the one that starts epmd. */
  readonly isFirst: boolean;
}

interface Ports {
  readonly amqp: number;
  readonly management: number;
  readonly distribution: number;
  readonly epmd: number;
  readonly tls: number;
}

/**
 * Ends what this process leaves behind, however it ends itself: it waits for the other end of its input to go away,
 * then kills the processes noted in the folder and removes the folder.
 */
const watchdogScript = `
  cat >/dev/null
  for file in "$1"/pids/*; do
    [ -f "$file" ] && kill -9 "$(cat "$file")" 2>/dev/null
  done
  for attempt in 1 2 3 4 5; do
    rm -rf "$1" 2>/dev/null && exit
    sleep 1
  done`;

class LocalNode implements PrivateServer {
  readonly url: string;
  readonly managementUrl: string;
  readonly tlsUrl: string | undefined;
  readonly description: string;
  readonly management: ManagementApi;
  version = 'unknown';
  readonly #installation: string;
  readonly #ports: Ports;
  /** As this process sees it; the node itself sees it without the root. */
  readonly #folder: string;
  readonly #environment: Record<string, string>;
  readonly #watchdog: ChildProcess;
  readonly #hasOwnEpmd: boolean;
  #epmd: ChildProcess | undefined;
  #server: ChildProcess | undefined;
  #stopped: Promise<void> | undefined;

  static async create(
    installation: string,
    options: PrivateServerOptions,
    membership?: Membership,
  ): Promise<LocalNode> {
    const [management = 0, distribution = 0, amqp = 0, epmd = 0, tls = 0] = await freePorts(5);
    const ports = {
      management,
      distribution,
      amqp: membership?.amqp ?? amqp,
      epmd: membership?.epmd ?? epmd,
      tls,
    };
    const cookie = membership?.cookie ?? randomBytes(12).toString('hex');
    await mkdir(join(root, tmpdir()), { recursive: true });
    const folder = await mkdtemp(join(root, tmpdir(), 'leveret-rabbitmq-'));
    await Promise.all([
      mkdir(join(folder, 'pids')),
      writeFile(join(folder, '.erlang.cookie'), cookie, { mode: 0o400 }),
      writeFile(join(folder, 'rabbitmq.conf'), configurationFile(ports, options, insideRoot(folder))),
      ...[...(options.tls ? tlsFiles(options.tls) : [])].map(([name, content]) =>
        writeFile(join(folder, name), content),
      ),
      writeFile(join(folder, 'advanced.config'), advancedConfig(options)),
      writeFile(
        join(folder, 'enabled_plugins'),
        `[${['rabbitmq_management', ...(options.plugins ?? [])].join(',')}].\n`,
      ),
    ]);
    return new LocalNode(installation, ports, folder, {
      speaksTls: options.tls !== undefined,
      hasOwnEpmd: membership?.isFirst !== false,
    });
  }

  private constructor(
    installation: string,
    ports: Ports,
    folder: string,
    { speaksTls, hasOwnEpmd }: { readonly speaksTls: boolean; readonly hasOwnEpmd: boolean },
  ) {
    this.#hasOwnEpmd = hasOwnEpmd;
    this.#installation = installation;
    this.#ports = ports;
    this.#folder = folder;
    this.url = `amqp://guest:guest@127.0.0.1:${ports.amqp}`;
    this.managementUrl = `http://guest:guest@127.0.0.1:${ports.management}`;
    this.tlsUrl = speaksTls ? `amqps://127.0.0.1:${ports.tls}` : undefined;
    this.management = new ManagementApi(this.managementUrl);
    this.description = root === '/' ? 'a private node on this machine' : `a private node from ${root}`;
    this.#environment = environment(ports, insideRoot(folder));
    // A group of its own: an interrupt from the terminal ends the tests first, and through them the node.
    this.#watchdog = spawn('sh', ['-c', watchdogScript, 'watchdog', folder], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#watchdog.unref();
  }

  async start(): Promise<void> {
    if (isRunning(this.#server)) return;
    if (this.#hasOwnEpmd && !isRunning(this.#epmd)) {
      this.#epmd = await this.#spawn('epmd', 'epmd', [
        '-port',
        `${this.#ports.epmd}`,
        '-address',
        '127.0.0.1',
      ]);
    }
    const server = await this.#spawn('server', join(this.#installation, 'rabbitmq-server'), []);
    this.#server = server;
    this.version = await waitUntilReady({
      url: this.url,
      managementUrl: this.managementUrl,
      timeoutMs: startTimeoutMs,
      gaveUp: () => (isRunning(server) ? undefined : 'The RabbitMQ node ended while it was starting.'),
    }).catch(async (error: unknown) => {
      throw new Error(
        `A RabbitMQ node of the tests did not start. Its last output:\n${await this.#lastOutput()}`,
        {
          cause: error,
        },
      );
    });
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  shutdown(): Promise<void> {
    return this.#end('SIGTERM');
  }

  async pause(): Promise<void> {
    this.#server?.kill('SIGSTOP');
    if (this.#server?.pid !== undefined) await standsStill(this.#server.pid);
  }

  async unpause(): Promise<void> {
    this.#server?.kill('SIGCONT');
  }

  ctl(...args: string[]): Promise<string> {
    return this.ctlWithInput('', ...args);
  }

  async ctlWithInput(input: string, ...args: string[]): Promise<string> {
    const [command, rest] = this.#command(join(this.#installation, 'rabbitmqctl'), args);
    try {
      const running = promisify(execFile)(command, rest, { env: this.#environment, timeout: 60_000 });
      running.child.stdin?.end(input);
      return (await running).stdout;
    } catch (error) {
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      throw new Error(`rabbitmqctl ${args.join(' ')} failed: ${stdout}${stderr}`, { cause: error });
    }
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
    await this.kill();
    const epmd = this.#epmd;
    if (isRunning(epmd)) {
      await end(epmd, 'SIGKILL');
    }
    const cleaned = once(this.#watchdog, 'close');
    this.#watchdog.ref();
    this.#watchdog.stdin?.end();
    await cleaned;
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (isRunning(this.#server)) await end(this.#server, signal);
  }

  /** Starts a process of the node and notes its id for the watchdog. */
  async #spawn(name: string, program: string, args: string[]): Promise<ChildProcess> {
    const output = await open(join(this.#folder, `${name}.log`), 'a');
    const [command, rest] = this.#command(program, args);
    const child = spawn(command, rest, {
      detached: true,
      env: this.#environment,
      stdio: ['ignore', output.fd, output.fd],
    });
    child.unref();
    const note = join(this.#folder, 'pids', name);
    try {
      await once(child, 'spawn');
      await writeFile(note, `${child.pid}`);
      child.once('exit', () => void rm(note, { force: true }).catch(() => undefined));
    } finally {
      await output.close();
    }
    return child;
  }

  #command(program: string, args: string[]): [command: string, args: string[]] {
    return root === '/' ? [program, args] : ['chroot', [root, program, ...args]];
  }

  async #lastOutput(): Promise<string> {
    const output = await readFile(join(this.#folder, 'server.log'), 'utf8').catch(() => '');
    return output.trim().split('\n').slice(-20).join('\n');
  }
}

/** Resolves when it is gone, also in a process that nothing else keeps alive. */
async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  child.ref();
  const ended = once(child, 'close');
  child.kill(signal);
  await ended;
}

function isRunning(child: ChildProcess | undefined): child is ChildProcess {
  return child !== undefined && child.exitCode === null && child.signalCode === null;
}

/** The folder as the node sees it. */
function insideRoot(folder: string): string {
  return root === '/' ? folder : folder.slice(join(root, '/').length - 1);
}

function configurationFile(ports: Ports, options: PrivateServerOptions, folder: string): string {
  return [
    `listeners.tcp.default = 127.0.0.1:${ports.amqp}`,
    'management.tcp.ip = 127.0.0.1',
    `management.tcp.port = ${ports.management}`,
    'collect_statistics_interval = 1000',
    ...(options.tls ? tlsConfiguration(folder, `127.0.0.1:${ports.tls}`) : []),
    ...(options.configuration ?? []),
    '',
  ].join('\n');
}

/** The name of the node that has this port. */
function nodeName(amqpPort: number): string {
  return `leveret${amqpPort}@localhost`;
}

/** Everything that the node would otherwise share with another one on this machine. */
function environment(ports: Ports, folder: string): Record<string, string> {
  const loopback = '-kernel inet_dist_use_interface {127,0,0,1}';
  return {
    PATH: [process.env.PATH, '/usr/local/bin', '/usr/sbin', '/usr/bin', '/bin'].join(delimiter),
    LANG: 'C.UTF-8',
    HOME: folder,
    ERL_CRASH_DUMP: join(folder, 'erl_crash.dump'),
    ERL_CRASH_DUMP_SECONDS: '0',
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: `${ports.epmd}`,
    RABBITMQ_NODENAME: nodeName(ports.amqp),
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: `${ports.amqp}`,
    RABBITMQ_DIST_PORT: `${ports.distribution}`,
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: loopback,
    RABBITMQ_CTL_ERL_ARGS: loopback,
    RABBITMQ_CONF_ENV_FILE: join(folder, 'rabbitmq-env.conf'),
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, 'advanced.config'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_PID_FILE: join(folder, 'rabbitmq.pid'),
    // Makes the script replace itself with the server, so that the process started is the one to signal.
    RUNNING_UNDER_SYSTEMD: 'true',
  };
}

/** Each thread stops for itself, a moment after the signal. */
async function standsStill(pid: number): Promise<void> {
  const giveUpAt = Date.now() + 5_000;
  while (Date.now() < giveUpAt) {
    const threads = await readdir(`/proc/${pid}/task`).catch(() => undefined);
    // Not on Linux.
    if (!threads) return delay(50);
    const stats = threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, 'latin1'));
    const states = await Promise.all(
      stats.map((stat) =>
        stat.then(
          (text) => /\) (\S)/.exec(text)?.[1],
          () => 'T',
        ),
      ),
    );
    if (states.every((state) => state === 'T')) return;
    await delay(5);
  }
}
