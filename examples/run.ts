/** Runs an example, on the server in RABBITMQ_URL or on one that it starts for this: `npm run example -- 01-hello-world`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startSharedServer } from '../test/helpers/server/private-server.js';

const folder = new URL('./', import.meta.url);
const names = readdirSync(folder).flatMap((file) => /^(main|\d\d-.*)\.ts$/.exec(file)?.[1] ?? []);

/** The exit code after an interrupt, as shells have it. */
const INTERRUPTED = 130;
let isInterrupted = false;

/** `01-hello-world`, `01` and `1` are the same example. */
function find(wanted: string): string | undefined {
  return names.find((name) => name === wanted || name.startsWith(`${wanted.padStart(2, '0')}-`));
}

/** In a process of its own, with what this one was started with: a loader of TypeScript. Resolves with its exit code. */
async function run(name: string, url: string): Promise<number> {
  const file = fileURLToPath(new URL(`${name}.ts`, folder));
  const example = spawn(process.execPath, [...process.execArgv, file], {
    stdio: 'inherit',
    env: { ...process.env, RABBITMQ_URL: url },
  });
  const [code] = await once(example, 'exit');
  return code ?? (isInterrupted ? INTERRUPTED : 1);
}

async function runOnNewServer(name: string): Promise<number> {
  console.log('RABBITMQ_URL is not set: starting a RabbitMQ for this example …');
  const server = await startSharedServer();
  try {
    console.log(`RabbitMQ ${server.version}: ${server.description}, at ${new URL(server.url).host}\n`);
    return isInterrupted ? INTERRUPTED : await run(name, server.url);
  } finally {
    await server.stop();
  }
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
  process.exitCode = url ? await run(name, url) : await runOnNewServer(name);
}
