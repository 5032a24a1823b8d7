// Installs the packed package into an empty project, as a user would, and uses it from every kind of module.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkContents, checkDeclarations, checkInstallation, checkSubpaths } from './contents.mjs';
import { checkNestJs } from './nestjs.mjs';
import { checkRunners } from './runners.mjs';

const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
const folder = mkdtempSync(join(tmpdir(), 'leveret-package-'));
const shell = process.platform === 'win32';

function run(command, args, cwd = folder) {
  try {
    return execFileSync(command, args, { cwd, shell, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')} failed:\n${error.stdout}${error.stderr}`);
  }
}

const module = `
  const isClass = (value) => typeof value === 'function' && /^class\\b/.test(String(value));
  if (!isClass(leveret.Broker)) throw new Error('leveret exports no class Broker');
  for (const [name, value] of [leveret, testing].flatMap(Object.entries)) {
    // Node prints it with an error, and NestJS with what it cannot inject.
    if (typeof value === 'function' && value.name !== name) throw new Error(\`\${name} is called \${value.name}\`);
  }
  for (const name of ['queue', 'exchange']) {
    if (typeof leveret[name] !== 'function') throw new Error(\`leveret exports no function \${name}\`);
  }`;

/** The same for what the subpaths export. */
const subpaths = `
  const document = asyncapi.asyncapi([leveret.queue('emails', schema)], { title: 'Shop', version: '1' });
  if (document.channels.emails?.address !== 'emails') throw new Error('leveret/asyncapi describes no queue');
  if (!asyncapi.asyncapiHtml(document).includes('emails')) throw new Error('leveret/asyncapi makes no page');`;

/** Nothing else of the package can be imported. */
const inner = `
  import { createRequire } from 'node:module';
  const require = createRequire(import.meta.url);
  for (const path of ['dist/index.js', 'dist/index.cjs', 'dist/cli.js', 'errors', 'README.md']) {
    for (const load of [() => import(\`leveret/\${path}\`), async () => require(\`leveret/\${path}\`)]) {
      const { code } = await load().catch((reason) => reason);
      if (code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw new Error(\`leveret/\${path} can be imported\`);
    }
  }`;

/** An error that one copy of the package throws is recognised by the other. */
const recognised = `
  import { createRequire } from 'node:module';
  import * as esm from 'leveret';
  const require = createRequire(import.meta.url);
  const cjs = require('leveret');
  if (esm.Broker === cjs.Broker) throw new Error('there is but one copy');
  const schema = { '~standard': { version: 1, vendor: 'x', validate: () => ({ issues: [{ message: 'wrong' }] }) } };
  for (const [thrower, other] of [[esm, cjs], [cjs, esm]]) {
    const broker = await thrower.Broker.connect('memory:');
    const error = await broker.producer(thrower.queue('jobs', schema)).send({}).catch((reason) => reason);
    await broker.close();
    if (!other.isLeveretError(error)) throw new Error('isLeveretError does not recognise the error');
    if (!(error instanceof other.LeveretError)) throw new Error('it is no LeveretError');
    if (!(error instanceof other.ValidationError)) throw new Error('it is no ValidationError');
    if (error instanceof other.TimeoutError) throw new Error('it is a TimeoutError');
  }`;

const withoutApi = `
  import { createRequire } from 'node:module';
  const require = createRequire(import.meta.url);
  for (const load of [() => import('leveret/opentelemetry'), async () => require('leveret/opentelemetry')]) {
    const error = await load().then(() => undefined, (reason) => reason);
    if (!String(error?.message).includes('@opentelemetry/api')) throw new Error('expected an error that names the API');
  }`;

/** Each copy of the package is traced by each copy of the instrumentation. */
const traced = `
  import { createRequire } from 'node:module';
  import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
  import * as esm from 'leveret';
  import * as esmTelemetry from 'leveret/opentelemetry';
  const require = createRequire(import.meta.url);
  const copies = [esm, require('leveret')];
  const schema = { '~standard': { version: 1, vendor: 'x', validate: (value) => ({ value }) } };
  for (const { LeveretInstrumentation } of [esmTelemetry, require('leveret/opentelemetry')]) {
    const exporter = new InMemorySpanExporter();
    const instrumentation = new LeveretInstrumentation();
    instrumentation.setTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
    for (const { Broker, queue } of copies) {
      const broker = await Broker.connect('memory:');
      const jobs = queue('jobs', schema);
      await new Promise((resolve) => {
        broker.consumer(jobs, resolve);
        broker.producer(jobs).send({ n: 1 });
      });
      await broker.close();
    }
    instrumentation.disable();
    const names = exporter.getFinishedSpans().map(({ name }) => name).sort().join();
    const expected = 'ack jobs,ack jobs,process jobs,process jobs,send jobs,send jobs';
    if (names !== expected) throw new Error(\`expected the spans \${expected}, got \${names}\`);
  }`;

const consumer = `
  import { Broker, exchange, queue } from 'leveret';
  import { type AsyncApiDocument, asyncapi, asyncapiHtml } from 'leveret/asyncapi';
  import { type HandledMessage, TestBroker } from 'leveret/testing';
  import { postgresInbox, postgresOutbox } from 'leveret/postgres';
  import { redisStore } from 'leveret/redis';
  import { z } from 'zod';

  const emails = queue('emails', z.object({ to: z.string() }));
  const orders = exchange('orders', z.object({ id: z.string() }), { type: 'topic' });

  export async function main(): Promise<void> {
    await using broker = await Broker.connect('amqp://localhost', { name: 'consumer' });
    await broker.producer(orders).send({ id: '1' }, { routingKey: 'eu.order' });
    await broker.producer(emails).send({ to: 'ada@example.com' });
    // @ts-expect-error: a body that does not fit the schema
    await broker.producer(emails).send({ to: 1 });

    const document: AsyncApiDocument = asyncapi([emails, orders], { title: 'Shop', version: '1' });
    console.log(asyncapiHtml(document).length);

    await using testBroker = await TestBroker.start();
    const handled: HandledMessage<{ to: string }>[] = testBroker.handled(emails);
    console.log(handled.length);

    const outbox = postgresOutbox([emails, orders]);
    const db = { transaction: async (work: (tx: { mine: true }) => Promise<void>) => work({ mine: true }) };
    broker.relay(outbox, { db });
    broker.consumer(emails, (_message, tx) => console.log(tx.mine), { inbox: postgresInbox(db) });
    broker.consumer(emails, () => {}, { idempotency: { store: redisStore({}) } });
  }`;

const compilerOptions = {
  target: 'ES2022',
  lib: ['ES2023', 'ESNext.Disposable'],
  module: 'NodeNext',
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  noEmit: true,
};

try {
  checkSubpaths(manifest.exports);
  checkDeclarations(manifest.exports);

  const [{ filename, files, unpackedSize }] = JSON.parse(
    run('npm', ['pack', '--json', '--pack-destination', folder], process.cwd()),
  );
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true }));
  const options = ['--no-audit', '--no-fund', '--prefer-offline'];
  checkContents(files, unpackedSize);
  run('npm', ['install', ...options, `./${filename}`, `zod@${manifest.devDependencies.zod}`]);
  checkInstallation(folder);

  const companions = ['typescript', '@types/node', 'vitest'].map(
    (name) => `${name}@${manifest.devDependencies[name]}`,
  );
  run('npm', ['install', ...options, ...companions, 'jest@30']);

  const imports = { leveret: 'leveret', asyncapi: 'leveret/asyncapi', testing: 'leveret/testing' };
  const schema =
    'const schema = { "~standard": { version: 1, vendor: "x", validate: (value) => ({ value }) } };';
  const program = `${schema}${module}${subpaths}`;
  const load = (line) => Object.entries(imports).map(([name, from]) => line(name, from));
  const esm = load((name, from) => `import * as ${name} from '${from}';`).join('');
  const cjs = load((name, from) => `const ${name} = require('${from}');`).join('');
  writeFileSync(join(folder, 'esm.mjs'), `${esm}${program}`);
  writeFileSync(join(folder, 'cjs.cjs'), `${cjs}${program}`);
  run(process.execPath, ['esm.mjs']);
  // Without require() of ES modules, which jest and older releases do not have.
  run(process.execPath, ['--no-experimental-require-module', 'cjs.cjs']);

  writeFileSync(join(folder, 'inner.mjs'), inner);
  run(process.execPath, ['inner.mjs']);
  writeFileSync(join(folder, 'recognised.mjs'), recognised);
  run(process.execPath, ['recognised.mjs']);

  // An optional peer: without it, what needs it says so, and nothing else is touched.
  writeFileSync(join(folder, 'without-api.mjs'), withoutApi);
  run(process.execPath, ['without-api.mjs']);
  const sdk = ['@opentelemetry/api', '@opentelemetry/sdk-trace-base'].map(
    (name) => `${name}@${manifest.devDependencies[name]}`,
  );
  run('npm', ['install', ...options, ...sdk]);
  writeFileSync(join(folder, 'traced.mjs'), traced);
  run(process.execPath, ['traced.mjs']);

  writeFileSync(join(folder, 'consumer.mts'), consumer);
  writeFileSync(join(folder, 'consumer.cts'), consumer);
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['consumer.*'] }));
  run(process.execPath, ['node_modules/typescript/bin/tsc']);

  await checkRunners(folder);

  const nestCompanions = ['zod', 'typescript', '@types/node', '@swc/core', 'reflect-metadata', 'rxjs'].map(
    (name) => `${name}@${manifest.devDependencies[name]}`,
  );
  for (const major of ['11', '12']) {
    const project = join(folder, `nest-${major}`);
    mkdirSync(project);
    writeFileSync(join(project, 'package.json'), JSON.stringify({ name: `nest-${major}`, private: true }));
    const nest = [`@nestjs/common@${major}`, `@nestjs/core@${major}`];
    run('npm', ['install', ...options, join(folder, filename), ...nestCompanions, ...nest], project);
    await checkNestJs(project);
  }

  console.log(
    'The packed package works from ES modules, CommonJS and TypeScript, in NestJS 11 and 12, and its tests under vitest, node:test and jest.',
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
