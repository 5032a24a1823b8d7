import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { createVhost } from '../helpers/server/index.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What the shorter samples take as given. */
const CONTEXT = `
import { Broker, DeadLetter, delays, exchange, isLeveretError, procedure, queue, RetryLater } from 'leveret';
import type { Logger } from 'leveret';
import { asyncapi, asyncapiHtml } from 'leveret/asyncapi';
import { memoryStore } from 'leveret';
import { type AnswerOf, Consumer, LeveretHealthIndicator, LeveretModule, type MessageOf, Responder } from 'leveret/nestjs';
import { Controller, Get, Module } from '@nestjs/common';
import { postgresInbox, postgresOutbox, postgresStore } from 'leveret/postgres';
import { redisStore } from 'leveret/redis';
import { memoryDatabase, memoryInbox, memoryOutbox, TestBroker, testStore } from 'leveret/testing';
import type { Redis } from 'ioredis';
import type postgres from 'postgres';
import { writeFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { z } from 'zod';
declare const given: {
  broker: Broker;
  deliver(body: { to: string; subject: string }, options?: { signal: AbortSignal }): Promise<void>;
  lookup(sku: string): Promise<number>;
  readTasks(): AsyncIterable<{ to: string; subject: string }>;
  readSecret(): Promise<string>;
  pino(): Logger;
  customer: object | undefined;
  sql: postgres.Sql;
  client: Redis;
  user: { id: string; email: string };
};
const { deliver, lookup, readTasks, readSecret, pino, customer, sql, client, user } = given;
void [Consumer, LeveretHealthIndicator, LeveretModule, Responder, Controller, Get, Module, asyncapi, asyncapiHtml, writeFile, Broker, DeadLetter, delays, exchange, expect, isLeveretError, procedure, queue, RetryLater, TestBroker, deliver, lookup, readTasks, readSecret, pino, customer, sql, client, user, memoryStore, postgresInbox, postgresOutbox, postgresStore, redisStore, memoryDatabase, memoryInbox, memoryOutbox, testStore];
`;
const DECLARED = {
  broker: 'const { broker } = given;',
  emails: "const emails = queue('emails', z.object({ to: z.email(), subject: z.string() }));",
  orders:
    "const orders = exchange('orders', z.object({ id: z.string(), total: z.number() }), { type: 'topic' });",
  quote:
    "const quote = procedure('quote', { request: z.object({ sku: z.string() }), response: z.object({ price: z.number() }) });",
};

interface Fence {
  readonly origin: string;
  readonly code: string;
  /** What it prints, where the next fence says so. */
  readonly output: string | undefined;
}

/** Every `ts` fence of a document, and of the comments of a source file. */
function fencesOf(path: string): Fence[] {
  const text = readFileSync(join(root, path), 'utf8');
  const plain = path.endsWith('.ts') ? text.replaceAll(/^ *\* ?/gm, '') : text;
  const fences = [...plain.matchAll(/^```(\w*)\n(.*?)^```$/gms)];
  return fences.flatMap(([, language, code = ''], index) => {
    if (language !== 'ts') return [];
    const [, next, output] = fences[index + 1] ?? [];
    const origin = `${path}: ${code.trim().split('\n')[0]}`;
    return [{ origin, code, output: next === 'text' ? output : undefined }];
  });
}

const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

const programs = pages.flatMap(fencesOf).filter(({ output }) => output !== undefined);

/** Runs them one after the other in one process, on a server or, without a URL, in memory. Resolves with what each of them prints. */
async function printed(name: string, url: string | undefined): Promise<string[]> {
  const home = join(root, 'reports', 'programs', name);
  mkdirSync(home, { recursive: true });
  const mark = '--- the next program';
  const imports = programs.map(({ code }, index) => {
    writeFileSync(join(home, `program-${index}.ts`), code);
    return `await import('./program-${index}.ts');\nconsole.log('${mark}');\n`;
  });
  const path = join(home, 'all.mjs');
  writeFileSync(path, imports.join(''));
  const env = { ...process.env, RABBITMQ_URL: url };
  const child = spawn(process.execPath, ['--import', 'tsx', path], { cwd: root, env });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  return output.split(`${mark}\n`).slice(0, -1);
}

/** A sample as a module: with its own imports as it stands, otherwise with what samples take as given. */
function moduleOf({ code }: Fence): string {
  if (/^import /m.test(code)) return code;
  const missing = Object.entries(DECLARED).filter(
    ([name]) => !new RegExp(`(const|using) ${name}\\b`).test(code),
  );
  return [CONTEXT, ...missing.map(([, line]) => line), code, 'export {};'].join('\n');
}

/** What the compiler says about these modules, by their origin. */
function complaintsAbout(fences: readonly Fence[]): string[] {
  const home = join(root, 'reports', 'fences');
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home, { recursive: true });
  const paths = fences.map((fence, index) => {
    const path = join(home, `fence-${index}.ts`);
    writeFileSync(path, moduleOf(fence));
    return path;
  });
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram(paths, {
    ...options,
    noUnusedLocals: false,
    erasableSyntaxOnly: false,
    noEmit: true,
  });
  return ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    const origin = fences[paths.indexOf(file?.fileName ?? '')]?.origin ?? file?.fileName;
    return `${origin}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
}

describe('the documents', () => {
  it('have samples that compile, and a wrong one would be found', { timeout: 180_000 }, () => {
    const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
    const modules = sources.filter((path) => path.endsWith('.ts')).map((path) => join('src', path));
    const fences = [...pages, ...modules].flatMap(fencesOf);
    expect(fences.length).toBeGreaterThanOrEqual(60);
    const wrong = {
      origin: 'here',
      code: "await broker.producer(emails).send({ to: 'ada@example.com' });\n",
      output: undefined,
    };
    expect(complaintsAbout([...fences, wrong])).toEqual([
      expect.stringMatching(/^here: .*'subject' is missing/s),
    ]);
  });

  it('show the plugin for Fastify as it is in its example', () => {
    const plugin = readFileSync(join(root, 'examples/fastify/leveret.ts'), 'utf8');
    expect(fencesOf('docs/fastify.md').map(({ code }) => code)).toContain(plugin);
  });

  it('have sample tests that pass', { timeout: 120_000 }, async () => {
    const samples = pages
      .flatMap(fencesOf)
      .filter(({ code }) => code.includes("from 'vitest'") && !code.includes('@nestjs'));
    expect(samples.length).toBeGreaterThanOrEqual(3);
    const home = join(root, 'reports', 'sample-tests');
    rmSync(home, { recursive: true, force: true });
    mkdirSync(home, { recursive: true });
    samples.forEach(({ code }, index) => {
      writeFileSync(join(home, `sample-${index}.test.ts`), code);
    });
    const alias = {
      'leveret/testing': join(root, 'src/testing/index.ts'),
      leveret: join(root, 'src/index.ts'),
    };
    writeFileSync(
      join(home, 'vitest.config.ts'),
      `export default ${JSON.stringify({ root: home, resolve: { alias } })};`,
    );
    const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
    const child = spawn(process.execPath, [vitest, 'run', '--root', home], {
      cwd: home,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    const code = await new Promise((resolve) => child.once('exit', resolve));
    const all = new RegExp(`Tests .*${samples.length} passed`);
    expect({ code, output }).toEqual({ code: 0, output: expect.stringMatching(all) });
  });

  it.each([
    ['on a server', createVhost],
    ['in memory', undefined],
  ])('have programs that print what they say %s', { timeout: 60_000 }, async (where, open) => {
    expect(programs.length).toBeGreaterThanOrEqual(8);
    await using vhost = await open?.();
    expect(await printed(where.replaceAll(' ', '-'), vhost?.url)).toEqual(
      programs.map(({ output }) => output),
    );
  });

  it.each([
    ['on a server', createVhost],
    ['in memory', undefined],
  ])('begin with a sample that runs as it stands %s', { timeout: 60_000 }, async (_where, open) => {
    await using vhost = await open?.();
    const [sample] = fencesOf('README.md');
    const path = join(root, 'reports', 'first-sample.ts');
    writeFileSync(path, sample?.code ?? '');
    const child = spawn(process.execPath, ['--import', 'tsx', path], {
      cwd: root,
      env: { ...process.env, RABBITMQ_URL: vhost?.url },
    });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
      if (output.includes('To ada@example.com: Hello') && output.includes('confirmed')) child.kill('SIGTERM');
    });
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect({ code, errors }).toEqual({ code: 0, errors: '' });
    expect(output).toMatch(/^[0-9a-f-]{36} is confirmed and in its queue$/m);
    expect(output).toContain('To ada@example.com: Hello');
  });
});
