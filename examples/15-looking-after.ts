/** Looking after a server: the command `leveret` shows what waits, finds what differs from the contracts, and says what to do. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Broker, queue } from 'leveret';
import { freshQueues } from './support/fresh-queues.js';
import { parcels } from './support/parcels.js';

const url = process.env.RABBITMQ_URL;
if (!url) throw new Error('The command looks at a real server: set RABBITMQ_URL');

const path = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** Runs the command, as `npx leveret` does where the package is installed. It exits with 1 when it has found something. */
async function leveret(...args: string[]): Promise<unknown> {
  const all = [
    '--import',
    'tsx',
    path('../src/cli/main.ts'),
    ...args,
    '--json',
    '--contracts',
    path('support/parcels.ts'),
  ];
  const stdout = await new Promise<string>((resolve) => {
    execFile(process.execPath, all, { env: { ...process.env, RABBITMQ_URL: url } }, (_error, text) =>
      resolve(text),
    );
  });
  return JSON.parse(stdout);
}

await using _queues = await freshQueues(url, parcels);
await using broker = await Broker.connect(url);

// An earlier version of the program: its queue has another delivery limit.
const before = queue(parcels.name, parcels.schema, { deliveryLimit: 5 });
await broker.producer(before).sendAll([{ id: 1 }, { id: 2 }, { id: 3 }]);

const queues = (await leveret('queues', 'example.parcels')) as {
  name: string;
  ready: number;
  consumers: number;
}[];
for (const { name, ready, consumers } of queues)
  console.log(`queues: ${name} has ${ready} messages and ${consumers} consumers`);

const { findings } = (await leveret('doctor')) as {
  findings: { id: string; subject: string; message: string; fix: string[] }[];
};
for (const { id, subject, message, fix } of findings.filter((finding) =>
  finding.subject.includes('example.'),
)) {
  console.log(`doctor: ${id}, ${subject}`);
  console.log(`  ${message}`);
  for (const line of fix) console.log(`  $ ${line}`);
}

const letters = (await leveret('dead', 'list', 'example.parcels')) as unknown[];
console.log(`dead list: ${letters.length} dead letters`);
