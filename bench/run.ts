/** Measures round trips in memory, on RabbitMQ, and with bare amqplib: `npm run bench`, or `npm run bench -- 5` for five rounds. */
import { execFile } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { acquireServer } from '../test/helpers/server/index.js';

const MESSAGES = 100_000;
const rounds = Number(process.argv[2] ?? 3);

interface Measured {
  readonly perSecond: number;
  readonly cpuUs: number;
}

interface Subject {
  readonly name: string;
  readonly client: 'leveret' | 'amqplib';
  readonly url: string;
}

const program = fileURLToPath(new URL('round-trips.mjs', import.meta.url));

async function measure({ client, url }: Subject): Promise<Measured> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, client, url, String(MESSAGES)]);
  return JSON.parse(stdout);
}

const middle = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
const range = (numbers: readonly number[], digits: number) =>
  `${Math.min(...numbers).toFixed(digits)}–${Math.max(...numbers).toFixed(digits)}`;

function report(results: ReadonlyMap<string, readonly Measured[]>): void {
  const ofAmqplib = results.get('bare amqplib, RabbitMQ');
  const base = ofAmqplib && middle(ofAmqplib.map(({ cpuUs }) => cpuUs));
  const rows = [...results].map(([name, runs]) => {
    const [speeds, costs] = [runs.map(({ perSecond }) => perSecond), runs.map(({ cpuUs }) => cpuUs)];
    const ratio = base === undefined ? '' : (middle(costs) / base).toFixed(2);
    return [
      name,
      middle(costs).toFixed(1),
      range(costs, 1),
      ratio,
      middle(speeds).toFixed(0),
      range(speeds, 0),
    ];
  });
  const header = ['', 'CPU µs/message', 'range', 'ratio', 'messages/s', 'range'];
  console.log(`| ${header.join(' | ')} |\n|${header.map((_, at) => (at === 0 ? '---|' : '--:|')).join('')}`);
  for (const row of rows) console.log(`| ${row.join(' | ')} |`);
}

const server = await acquireServer().catch((error: Error) => {
  console.log(`${error.message}\nOnly the broker in memory is measured.`);
});
try {
  const subjects: Subject[] = [{ name: 'Leveret, memory:', client: 'leveret', url: 'memory:' }];
  if (server) {
    subjects.push(
      { name: 'Leveret, RabbitMQ', client: 'leveret', url: server.url },
      { name: 'bare amqplib, RabbitMQ', client: 'amqplib', url: server.url },
    );
  }
  console.log(
    `${MESSAGES} round trips each, ${rounds} rounds, Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}\n`,
  );
  const results = new Map(subjects.map(({ name }) => [name, [] as Measured[]]));
  // In turn, so that other load on the machine falls on all of them.
  for (let round = 0; round < rounds; round++)
    for (const subject of subjects) results.get(subject.name)?.push(await measure(subject));
  report(results);
} finally {
  await server?.stop();
}
