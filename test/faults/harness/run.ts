import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Broker } from 'leveret';
import { createVhost, type PrivateServer } from '../../helpers/server/index.js';
import { billing, jobs, orders, queueNames, work } from '../programs/workload.js';
import { drawFault, type FaultName, happen, type Scene } from './faults.js';
import { now } from './journal.js';
import { type Leftovers, takeLeftovers } from './leftovers.js';
import { Network } from './network.js';
import { Program, type Role } from './program.js';
import { randomOf } from './random.js';
import { countSockets } from './sockets.js';

export interface RunOptions {
  readonly server: PrivateServer;
  /** A folder for what the programs note and print. */
  readonly folder: string;
  readonly seed: number;
  /** How long faults happen, in milliseconds. */
  readonly durationMs: number;
  /** The mean time from one fault to the next, in milliseconds. */
  readonly everyMs?: number;
  /** These faults in turn, in place of random ones. */
  readonly faults?: readonly FaultName[];
  readonly producers?: number;
  readonly consumers?: number;
  /** Messages per second of each producer. */
  readonly rate?: number;
  /** Which client the programs of a role use. */
  readonly clients?: Partial<Readonly<Record<Role, string>>>;
  readonly isPlain?: boolean;
  readonly slowMs?: number;
  /** How long programs may take to recover, and to end, before that is given up. */
  readonly patienceMs?: number;
  /** Told once in a while how it goes. */
  readonly onProgress?: (line: string) => void;
}

/** One fault of a run. */
export interface FaultRecord {
  readonly name: FaultName;
  readonly startedAt: number;
  /** When everything could be reached again. */
  readonly reachableAt: number;
  /** How long after that every program was at work again, in milliseconds. Undefined when one never was. */
  readonly recoveredAfterMs: number | undefined;
}

/** What is left of a run for the rules to settler. */
export interface RunRecord {
  readonly options: RunOptions;
  readonly password: string;
  readonly programs: readonly Program[];
  readonly network: Network;
  readonly faults: readonly FaultRecord[];
  readonly firstFaultAt: number;
  readonly lastFaultAt: number;
  /** The most sockets that a program held at once, by its name. */
  readonly mostSockets: ReadonlyMap<string, number>;
  /** What went wrong with the run itself: a program that did not start, did not end. */
  readonly troubles: readonly string[];
  readonly leftovers: Leftovers;
  /** Connections that the server still held after every program had ended. */
  readonly connectionsLeft: readonly string[];
}

const START_TIMEOUT_MS = 60_000;
const PATIENCE_MS = 45_000;
const CALM_MS = 3_000;
const WARM_UP_MS = 2_000;
/** How many faults that are late are made up for, in means. */
const MAX_BACKLOG = 15;

/** Lets programs work while faults happen, and then lets them end. */
export async function run(options: RunOptions): Promise<RunRecord> {
  const { server, seed, durationMs, everyMs = 2_000, patienceMs = PATIENCE_MS } = options;
  await mkdir(options.folder, { recursive: true });
  const random = randomOf(seed);
  const password = `canary-${randomOf(seed + 1).integer(1e8, 1e9)}`;
  await using vhost = await createVhost(server);
  // Of this run alone: several may share a server.
  const user = `canary-${vhost.name}`;
  await vhost.management.createUser(user, password, { configure: '.*', write: '.*', read: '.*' });
  await using network = await Network.listen(vhost.url, random);
  const url = new URL(network.proxy.via(vhost.url));
  url.username = user;
  url.password = password;

  // Known to the server, and on its disk, before anything happens.
  const declaring = await Broker.connect(vhost.url);
  await declaring.declare(work, jobs, billing);
  await declaring.close();
  await server.settleMetadata();

  const programs: Program[] = [];
  const troubles: string[] = [];
  const spawn = (role: Role): Program => {
    const program = new Program(role, options.folder, {
      name: `${role}-${programs.filter((it) => it.role === role).length + 1}`,
      url: url.href,
      client: options.clients?.[role] ?? 'leveret',
      rate: options.rate ?? 100,
      seed: seed + programs.length,
      isPlain: options.isPlain ?? false,
      slowMs: options.slowMs ?? 400,
    });
    programs.push(program);
    return program;
  };
  await using _programs = {
    [Symbol.asyncDispose]: async () => {
      await Promise.all(programs.map((program) => program[Symbol.asyncDispose]()));
    },
  };

  const { observer } = network;
  const sources = options.isPlain ? [work.name] : [work.name, jobs.name, orders.name];
  const sends = options.clients?.producer === undefined ? observer.lastConfirmAt : observer.lastPublishAt;
  const isAtWork = ({ role, name }: Program, since: number) =>
    ((role === 'producer' ? sends : observer.lastDeliveryAt).get(name) ?? 0) > since;
  /** When all of them, killed ones left out, were at work after a time. */
  const allAtWork = async (since: number, timeoutMs: number): Promise<number | undefined> => {
    const giveUpAt = now() + timeoutMs;
    for (;;) {
      const working = programs.filter(({ isRunning }) => isRunning);
      const isFlowing = sources.every((name) => (observer.lastDeliveryFrom.get(name) ?? 0) > since);
      if (isFlowing && working.every((program) => isAtWork(program, since))) return now();
      if (now() > giveUpAt) return undefined;
      await delay(10);
    }
  };

  for (let left = options.consumers ?? 2; left > 0; left--) spawn('consumer');
  for (let left = options.producers ?? 2; left > 0; left--) spawn('producer');
  if ((await allAtWork(0, START_TIMEOUT_MS)) === undefined)
    troubles.push('the programs did not start to work');
  await delay(WARM_UP_MS);

  /** Tells programs to end, and sees to it that they do. */
  const end = async (ending: readonly Program[]) => {
    for (const program of ending) if (program.isRunning) program.stop();
    const all = Promise.all(ending.map(({ exited }) => exited));
    const ended = await Promise.race([all, delay(patienceMs, undefined, { ref: false })]);
    if (ended) return;
    for (const program of ending.filter(({ isRunning }) => isRunning)) {
      troubles.push(`${program.name} did not end by itself`);
      await program.kill();
    }
  };

  const mostSockets = new Map<string, number>();
  const watch = setInterval(() => {
    for (const { name, pid, isRunning } of programs) {
      const count = isRunning ? countSockets(pid, network.proxy.port) : undefined;
      if (count !== undefined) mostSockets.set(name, Math.max(count, mostSockets.get(name) ?? 0));
    }
  }, 200);
  using _watch = { [Symbol.dispose]: () => clearInterval(watch) };

  const scene: Scene = {
    server,
    management: vhost.management,
    network,
    random,
    async replaceConsumer(how) {
      const victim = random.pick(programs.filter(({ role, isRunning }) => role === 'consumer' && isRunning));
      if (how === 'killed') await victim.kill();
      else await end([victim]);
      const successor = spawn('consumer');
      const giveUpAt = now() + START_TIMEOUT_MS;
      while (!isAtWork(successor, 0) && now() < giveUpAt) await delay(10);
    },
  };
  const faults: FaultRecord[] = [];
  const firstFaultAt = now();
  let toldAt = firstFaultAt;
  let nextAt = firstFaultAt;
  const script = options.faults?.[Symbol.iterator]();
  while (now() - firstFaultAt < durationMs) {
    const gone = programs.find(({ exit, wasKilled }) => exit && exit.code !== 0 && !wasKilled);
    if (gone) {
      troubles.push(`${gone.name} ended in the middle of the run`);
      break;
    }
    const next = script?.next();
    if (next?.done) break;
    const name = next?.value ?? drawFault(random);
    const startedAt = now();
    const reachableAt = await happen(name, scene);
    const recoveredAt = await allAtWork(reachableAt, patienceMs);
    const recoveredAfterMs = recoveredAt === undefined ? undefined : recoveredAt - reachableAt;
    const fault: FaultRecord = { name, startedAt, reachableAt, recoveredAfterMs };
    faults.push(fault);
    await appendFile(join(options.folder, 'faults.jsonl'), `${JSON.stringify(fault)}\n`);
    // One that took long is made up for: on average they come as often as was asked.
    nextAt = Math.max(nextAt + random.next() * 2 * everyMs, now() - MAX_BACKLOG * everyMs);
    await delay(Math.max(random.integer(0, 300), nextAt - now()));
    if (now() - toldAt < 30_000) continue;
    toldAt = now();
    const minutes = ((toldAt - firstFaultAt) / 60_000).toFixed(1);
    options.onProgress?.(
      `${minutes} min: ${faults.length} faults, ${observer.verdicts.length} verdicts, the last: ${name}`,
    );
  }
  const lastFaultAt = now();

  await end(programs.filter(({ role }) => role === 'producer'));
  await untilCalm(observer.lastDeliveryAt, programs);
  await end(programs.filter(({ role }) => role === 'consumer'));

  const connectionsLeft = await settleConnections(options, vhost.name);
  const leftovers = await takeLeftovers(vhost.url, vhost.management, queueNames);
  return {
    options,
    password,
    programs,
    network,
    faults,
    firstFaultAt,
    lastFaultAt,
    mostSockets,
    troubles,
    leftovers,
    connectionsLeft,
  };
}

/** Until nothing has been delivered for a while: every retry has run by then. */
async function untilCalm(
  lastDeliveryAt: ReadonlyMap<string, number>,
  programs: readonly Program[],
): Promise<void> {
  const giveUpAt = now() + 60_000;
  const isCalm = () => programs.every(({ name }) => now() - (lastDeliveryAt.get(name) ?? 0) > CALM_MS);
  while (!isCalm() && now() < giveUpAt) await delay(100);
}

/** Until the server holds no connection. What its management API tells of them comes late. */
async function settleConnections({ server }: RunOptions, vhost: string): Promise<readonly string[]> {
  const giveUpAt = now() + 20_000;
  for (;;) {
    const listed = await server.ctl('list_connections', '--silent', 'vhost', 'name', 'state');
    const left = listed.split('\n').filter((line) => line.startsWith(vhost));
    if (left.length === 0 || now() > giveUpAt) return left;
    await delay(200);
  }
}
