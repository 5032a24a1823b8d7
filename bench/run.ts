/**
 * Measures Leveret beside its peers: `npm run bench`, with `-- --help` for its options. Each measurement runs in a process of its
 * own; in each round the clients take turns in another order.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { acquireRedis } from '../test/helpers/databases/redis.js';
import { acquireServer, createVhost } from '../test/helpers/server/index.js';
import { TcpProxy } from '../test/helpers/tcp-proxy.js';
import { plotOf } from './plot.js';
import { columnsOf, type Key, type Measured, middlesOf, type Result, tableOf } from './results.js';
import { pidOf, serverCpuUs } from './server-cpu.js';
import { type ClientName, type Workload, workloads } from './workloads.js';

const HELP = `npm run bench -- [options]

  --rounds 5            how often each is measured; the tables show the middle
  --messages 100000     how many messages a measurement has
  --only publish,loop   the workloads whose names begin like that
  --clients leveret,…   these clients only
  --plots               write the plots of the README to docs/images
  --check               compare Leveret's ratios to bare amqplib with baseline.json, and fail when one is a tenth worse
  --save                write those ratios to baseline.json

Workloads: ${workloads.map(({ name }) => name).join(', ')}
`;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    messages: { type: 'string', default: '100000' },
    only: { type: 'string', default: '' },
    clients: { type: 'string', default: '' },
    plots: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit();
}
const baseline = new URL('baseline.json', import.meta.url);
if (values.check && !existsSync(baseline)) {
  console.error(
    "There is no bench/baseline.json to compare with: make one with '--save' on a quiet machine.",
  );
  process.exit(2);
}
const rounds = Number(values.rounds);
const messages = Number(values.messages);
const only = values.only.split(',');
const onlyClients = values.clients === '' ? undefined : values.clients.split(',');
const chosen = workloads
  .filter(({ name }) => only.some((start) => name.startsWith(start)))
  .map((it) => ({
    ...it,
    clients: it.clients.filter((client) => !onlyClients || onlyClients.includes(client)),
  }))
  .filter(({ clients }) => clients.length > 0);

const folder = new URL('./', import.meta.url);
const program = (name: string) => fileURLToPath(new URL(name, folder));

const rabbit = await acquireServer();
const vhost = await createVhost(rabbit);
const rabbitPid = await pidOf(rabbit.managementUrl);
const usesRedis = chosen.some(({ clients }) => clients.includes('bullmq'));
const redis = usesRedis ? await acquireRedis() : undefined;
console.log(
  `RabbitMQ ${rabbit.version}, Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, load ${loadavg()[0]?.toFixed(1)}`,
  `\n${messages} messages, ${rounds} rounds\n`,
);

/** Runs a program of this folder to its end. `onMessage` hears what it says. */
async function runProgram(
  file: string,
  settings: object,
  onMessage: (message: Record<string, unknown>, child: ChildProcess) => void = () => {},
): Promise<void> {
  const child = fork(program(file), [JSON.stringify(settings)], {
    execArgv: ['--expose-gc'],
    cwd: program('.'),
  });
  child.on('message', (message) => onMessage(message as Record<string, unknown>, child));
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${file} ended with ${code}: ${JSON.stringify(settings)}`);
}

/** What measure.mjs has measured. */
interface Report {
  readonly ms: number;
  readonly cpuUs: number;
  readonly maxRssKiB: number;
  readonly p50?: number;
  readonly p99?: number;
  /** Where several processes share a queue: how many messages this one had, and when. */
  readonly handled?: number;
  readonly from?: number;
  readonly to?: number;
}

async function measure(workload: Workload, client: ClientName): Promise<Measured> {
  const { program, type, prefetch, window = 1_000, bodyBytes = 0, processes = 1, bytesPerSecond } = workload;
  await using proxy = bytesPerSecond === undefined ? undefined : await TcpProxy.listen(vhost.url);
  proxy?.throttle(bytesPerSecond);
  const queue = `bench-${randomUUID()}`;
  const url = client === 'bullmq' ? (redis?.url ?? '') : (proxy?.via(vhost.url) ?? vhost.url);
  const count = Math.max(1, Math.round(messages * workload.share));
  const warmUp = Math.min(workload.warmUp, Math.round(messages / 5));
  const settings = {
    client,
    workload: program,
    url,
    queue,
    type,
    prefetch,
    count,
    warmUp,
    window,
    bodyBytes,
  };
  const fill = (toFill: number) => {
    const filler = client === 'bullmq' ? 'bullmq' : 'amqplib';
    return runProgram('fill.mjs', { ...settings, client: filler, count: toFill });
  };
  if (program === 'consume' || program === 'loop' || program === 'shared') await fill(count + warmUp);
  if (program === 'refilled') await fill(warmUp);

  const pid = client === 'bullmq' ? undefined : rabbitPid;
  let before: Promise<number | undefined> | undefined;
  let after: Promise<number | undefined> | undefined;
  let refill: Promise<void> | undefined;
  const reports: Report[] = [];
  const listen = (message: Record<string, unknown>, child: ChildProcess) => {
    if (message.event === 'empty') {
      refill = fill(count);
    } else if (message.event === 'begin') {
      before ??= serverCpuUs(pid);
      void before.then(() => child.send('go'));
    } else {
      after = serverCpuUs(pid);
      reports.push(message as unknown as Report);
    }
  };
  await Promise.all(Array.from({ length: processes }, () => runProgram('measure.mjs', settings, listen)));
  await refill;
  if (client !== 'bullmq') await vhost.management.deleteQueue(queue).catch(() => {});
  const [report] = reports;
  if (!report) throw new Error(`${client} has measured nothing`);
  const total = (of: (it: Report) => number) => reports.reduce((sum, it) => sum + of(it), 0);
  const busy = reports.filter(({ handled }) => handled !== 0);
  const ms =
    processes === 1
      ? report.ms
      : Math.max(...busy.map(({ to = 0 }) => to)) - Math.min(...busy.map(({ from = 0 }) => from));
  const [from, to] = [await before, await after];
  const { p50, p99 } = report;
  return {
    perSecond: (count / ms) * 1_000,
    cpuUs: total(({ cpuUs }) => cpuUs) / count,
    serverCpuUs: from === undefined || to === undefined ? undefined : (to - from) / count,
    memoryMiB: Math.max(...reports.map(({ maxRssKiB }) => maxRssKiB)) / 1_024,
    ...(p50 === undefined ? {} : { p50Ms: p50 }),
    ...(p99 === undefined ? {} : { p99Ms: p99 }),
    ...(program === 'start' ? { startMs: report.ms } : {}),
  };
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

async function measureAll(workload: Workload): Promise<Result> {
  const measured = new Map<ClientName, Measured[]>(workload.clients.map((client) => [client, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const client of shuffled(workload.clients)) {
      process.stderr.write(`\r${workload.name}: round ${round} of ${rounds}, ${client}\x1b[K`);
      try {
        measured.get(client)?.push(await measure(workload, client));
      } catch (error) {
        // The others are still worth their figures.
        process.exitCode = 1;
        console.error(`\n${workload.name}, ${client}: ${(error as Error).message}`);
      }
    }
  }
  process.stderr.write('\r\x1b[K');
  const clients = Object.fromEntries(
    [...measured].map(([client, all]) => [client, { middle: middlesOf(all), rounds: all }]),
  );
  return { workload: workload.name, title: workload.title, clients };
}

/** Leveret's ratio to bare amqplib in each of these, by workload. */
type Ratios = Record<string, Partial<Record<Key, number>>>;

const GUARDED: readonly Key[] = ['cpuUs', 'p50Ms', 'startMs'];

function ratiosOf(results: readonly Result[]): Ratios {
  const ratios: Ratios = {};
  for (const { workload, clients } of results) {
    const [own, base] = [clients.leveret?.middle, clients.amqplib?.middle];
    if (!own || !base) continue;
    const of: Partial<Record<Key, number>> = {};
    for (const key of GUARDED) if (own[key] && base[key]) of[key] = Number((own[key] / base[key]).toFixed(3));
    ratios[workload] = of;
  }
  return ratios;
}

/** What is more than a tenth worse than it was. */
function losses(now: Ratios, before: Ratios): string[] {
  return Object.entries(now).flatMap(([workload, ratios]) =>
    Object.entries(ratios).flatMap(([key, ratio]) => {
      const was = before[workload]?.[key as Key];
      if (was === undefined || ratio <= was * 1.1) return [];
      return [`${workload}, ${key}: ${ratio} times bare amqplib, ${was} in the baseline`];
    }),
  );
}

const results: Result[] = [];
try {
  for (const workload of chosen) {
    const result = await measureAll(workload);
    results.push(result);
    console.log(`### ${workload.title}\n\n${tableOf(result, columnsOf(workload))}\n`);
  }
} finally {
  await redis?.stop();
  await vhost[Symbol.asyncDispose]();
  await rabbit.stop();
}

const version = rabbit.version.split('.').slice(0, 2).join('.');
await mkdir(new URL('results/', folder), { recursive: true });
await writeFile(
  new URL(`results/rabbitmq-${version}.json`, folder),
  `${JSON.stringify({ rabbitmq: rabbit.version, node: process.version, cpu: cpus()[0]?.model, messages, rounds, results }, undefined, 2)}\n`,
);
if (values.plots) {
  const plot = async (workload: string, key: Key, caption: string) => {
    const result = results.find((it) => it.workload === workload);
    if (!result) return;
    const file = new URL(`../docs/images/bench-${workload}.svg`, folder);
    await writeFile(file, plotOf(result, key, caption));
  };
  await plot('publish-classic', 'cpuUs', 'CPU of the client, µs per message (less is better)');
  await plot('consume-classic', 'cpuUs', 'CPU of the client, µs per message (less is better)');
}
const ratios = ratiosOf(results);
if (values.save) await writeFile(baseline, `${JSON.stringify(ratios, undefined, 2)}\n`);
if (values.check) {
  const worse = losses(ratios, JSON.parse(await readFile(baseline, 'utf8')) as Ratios);
  for (const loss of worse) console.error(`WORSE  ${loss}`);
  if (worse.length > 0) process.exitCode = 1;
  else console.log('No ratio is more than a tenth worse than the baseline.');
}
