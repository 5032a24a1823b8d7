// Shows that `leveret/testing` needs no globals: the same test under vitest, node:test and jest, as an ES module and as CommonJS.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** What each runner is told to expect: `passes` is true of the handler, `fails` overlooks what it throws. */
const outcomes = {
  passes: "[['retried', 'the mail server is down'], ['acked', undefined]]",
  fails: "[['acked', undefined]]",
};

const body = (expected, equal) => `
  const retry = { initialDelayMs: 600_000, maxDelayMs: 600_000 };
  const emails = queue('emails', z.object({ to: z.email() }), { retry });

  test('a message is tried again after ten minutes', async () => {
    const broker = await TestBroker.start();
    try {
      broker.consumer(emails, ({ attempt }) => {
        if (attempt === 1) throw new Error(['the mail server', 'is down'].join(' ')); // Not to be found in a code frame.
      });
      await broker.producer(emails).send({ to: 'ada@example.com' });
      await broker.advance('10m');
      const runs = broker.handled(emails).map(({ outcome, error }) => [outcome, error?.message]);
      ${equal('runs', expected)}
    } finally {
      await broker.close();
    }
  });`;

const modules =
  "import { queue } from 'leveret';\nimport { TestBroker } from 'leveret/testing';\nimport { z } from 'zod';\n";
const required =
  "const { queue } = require('leveret');\nconst { TestBroker } = require('leveret/testing');\nconst { z } = require('zod');\n";
const toEqual = (actual, expected) => `expect(${actual}).toEqual(${expected});`;

const runners = [
  {
    name: 'vitest',
    file: 'vitest.test.mjs',
    text: (expected) => `import { expect, test } from 'vitest';\n${modules}${body(expected, toEqual)}`,
    command: ['node_modules/vitest/vitest.mjs', 'run', '--root'],
    passed: /1 passed/,
  },
  {
    name: 'node:test',
    file: 'node.test.mjs',
    text: (expected) =>
      `import assert from 'node:assert/strict';\nimport { test } from 'node:test';\n${modules}` +
      body(expected, (actual, wanted) => `assert.deepEqual(${actual}, ${wanted});`),
    command: ['--test'],
    passed: /pass 1\b/,
  },
  {
    name: 'jest',
    file: 'jest.test.cjs',
    text: (expected) =>
      `const { expect, test } = require('@jest/globals');\n${required}${body(expected, toEqual)}`,
    // Without transformation, and so without ES modules.
    config: {
      injectGlobals: false,
      transform: {},
      testMatch: ['**/*.test.cjs'],
      moduleFileExtensions: ['cjs', 'js'],
    },
    command: ['node_modules/jest/bin/jest.js', '--rootDir'],
    passed: /1 passed/,
  },
];

/** Runs all of them at once in a project that has the packages installed. */
export async function checkRunners(project) {
  await Promise.all(
    runners.flatMap((runner) =>
      Object.keys(outcomes).map((outcome) => checkRunner(project, runner, outcome)),
    ),
  );
}

async function checkRunner(project, { name, file, text, config, command, passed }, outcome) {
  const home = join(project, `${file.split('.')[0]}-${outcome}`);
  mkdirSync(home);
  writeFileSync(join(home, file), text(outcomes[outcome]));
  const args = [...command, command[0] === '--test' ? join(home, file) : home];
  if (config) {
    writeFileSync(join(home, 'config.json'), JSON.stringify(config));
    args.push('--config', join(home, 'config.json'));
  }
  // A runner that runs in another one would report to that.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const options = { cwd: project, timeout: 60_000, env: { ...env, NO_COLOR: '1', FORCE_COLOR: '0' } };
  const { code, output } = await execute(process.execPath, args, options).then(
    ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
    ({ code, stdout, stderr }) => ({ code, output: stdout + stderr }),
  );
  const report = `${name}, the test that ${outcome}, ended with ${code}:\n${output}`;
  if (outcome === 'passes') {
    assert(code === 0 && passed.test(output), report);
  } else {
    // The failed comparison itself shows what the handler threw.
    assert(code === 1 && output.includes('the mail server is down'), report);
  }
}
