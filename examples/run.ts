/**
 * Runs an example: `npm run example -- 01-hello-world`. On the server in RABBITMQ_URL; without it in memory, or, where an
 * example takes a real server, on one that is started for it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = new URL('./', import.meta.url);
const files = readdirSync(folder).flatMap((file) => /^(main|\d\d-.*)\.ts$/.exec(file)?.[1] ?? []);

/** Applications, in folders of their own. They run until they are interrupted. */
const applications = ['nestjs', 'fastify'];
const names = [...files, ...applications];

/** What Node is told for an example, beside what this process was started with. */
const loaders: Readonly<Record<string, readonly string[]>> = {
  nestjs: ['--import', new URL('./support/decorators.mjs', import.meta.url).href],
};

/** Their workers are processes of their own, which a broker in memory does not reach. */
const takesServer: ReadonlySet<string> = new Set([
  '06-worker-dies',
  '07-automatic-acknowledgement',
  '15-looking-after',
]);

/** The exit code after an interrupt, as shells have it. */
const INTERRUPTED = 130;
let isInterrupted = false;

/** `01-hello-world`, `01` and `1` are the same example. */
function find(wanted: string): string | undefined {
  return names.find((name) => name === wanted || name.startsWith(`${wanted.padStart(2, '0')}-`));
}

/** In a process of its own, with what this one was started with: a loader of TypeScript. Resolves with its exit code. */
async function run(name: string, url: string | undefined, managementUrl?: string): Promise<number> {
  const file = fileURLToPath(new URL(applications.includes(name) ? `${name}/main.ts` : `${name}.ts`, folder));
  const example = spawn(process.execPath, [...process.execArgv, ...(loaders[name] ?? []), file], {
    stdio: 'inherit',
    env: {
      ...process.env,
      RABBITMQ_URL: url,
      ...(managementUrl && { RABBITMQ_MANAGEMENT_URL: managementUrl }),
    },
  });
  const [code] = await once(example, 'exit');
  return code ?? (isInterrupted ? INTERRUPTED : 1);
}

async function runOnNewServer(name: string): Promise<number> {
  console.log('This example takes a real server and RABBITMQ_URL is not set: starting a RabbitMQ for it …');
  const { startSharedServer } = await import('../test/helpers/server/private-server.js');
  const server = await startSharedServer();
  try {
    console.log(`RabbitMQ ${server.version}: ${server.description}, at ${new URL(server.url).host}\n`);
    return isInterrupted ? INTERRUPTED : await run(name, server.url, server.managementUrl);
  } finally {
    await server.stop();
  }
}

function runInMemory(name: string): Promise<number> {
  console.log('In memory. To run it on a RabbitMQ, set RABBITMQ_URL.\n');
  return run(name, undefined);
}

const wanted = process.argv[2] ?? 'main';
const name = find(wanted);
if (name === undefined) {
  console.error(`There is no example '${wanted}'. There are:\n  ${names.join('\n  ')}`);
  process.exitCode = 1;
} else {
  // An interrupt from the terminal reaches the example too: it ends first, and then the server is stopped.
  process.on('SIGINT', () => {
    isInterrupted = true;
  });
  const url = process.env.RABBITMQ_URL;
  if (url) process.exitCode = await run(name, url);
  else process.exitCode = await (takesServer.has(name) ? runOnNewServer(name) : runInMemory(name));
}
