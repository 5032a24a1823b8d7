import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { compiledBy } from './test/nestjs/support/compile.js';

const source = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url));

/** The packages of NestJS 12, which stand beside those of 11. */
const nest12 = fileURLToPath(new URL('./test/nestjs/nest-12/node_modules/@nestjs', import.meta.url));

/** Tests of `leveret/nestjs`, and of its example: on each major version of NestJS, and by each compiler that emits metadata. */
const nestjs = { include: ['test/nestjs/**/*.test.ts', 'examples/nestjs/**/*.test.ts'], testTimeout: 30_000 };

/** Projects that talk to a real server share one, found or started once (see test/helpers/server). */
const onServer = {
  globalSetup: ['./test/helpers/server/global-setup.ts'],
  testTimeout: 60_000,
  hookTimeout: 120_000,
};

export default defineConfig({
  resolve: {
    alias: [
      { find: /^leveret$/, replacement: source('index.ts') },
      { find: /^leveret\/opentelemetry$/, replacement: source('opentelemetry/index.ts') },
      { find: /^leveret\/asyncapi$/, replacement: source('asyncapi/index.ts') },
      { find: /^leveret\/nestjs$/, replacement: source('nestjs/index.ts') },
      { find: /^leveret\/testing$/, replacement: source('testing/index.ts') },
      { find: /^leveret\/postgres$/, replacement: source('postgres/index.ts') },
      { find: /^leveret\/redis$/, replacement: source('redis/index.ts') },
    ],
  },
  test: {
    reporters: ['default', 'json'],
    outputFile: { json: 'reports/vitest.json' },
    pool: 'forks',
    maxWorkers: 2,
    // A busy machine is no reason to fail: what has a limit of its own names it.
    expect: { requireAssertions: true, poll: { timeout: 10_000, interval: 10 } },
    projects: [
      {
        extends: true,
        // Loading the modules again for each file takes longer than the tests. Files that replace parts of a module need `isolate`.
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 30_000, isolate: false },
      },
      {
        extends: true,
        plugins: [compiledBy('tsc')],
        test: { name: 'nestjs-11', ...nestjs },
      },
      {
        extends: true,
        plugins: [compiledBy('swc')],
        resolve: { alias: [{ find: /^@nestjs/, replacement: nest12 }] },
        test: { name: 'nestjs-12', ...nestjs },
      },
      {
        extends: true,
        test: {
          name: 'types',
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            include: ['test/types/**/*.test-d.ts'],
            tsconfig: './tsconfig.json',
          },
        },
      },
      {
        extends: true,
        test: { name: 'rabbitmq', include: ['test/rabbitmq/**/*.test.ts'], ...onServer },
      },
      {
        extends: true,
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          isolate: false,
          ...onServer,
        },
      },
      {
        extends: true,
        test: {
          // Without frames of our own, as where amqplib has changed. `LEVERET_AMQPLIB_FRAMES=1` runs every other test that way too,
          // but for two cases that only frames of our own can pass.
          name: 'public-api',
          include: [
            'test/conformance/port/{deliveries,publishing,requeueing}.test.ts',
            'test/rabbitmq/consumer/{connection-lost,verdicts}.test.ts',
            'test/rabbitmq/producer/{flow,message}.test.ts',
            'test/rabbitmq/topology/refused.test.ts',
          ],
          env: { LEVERET_AMQPLIB_FRAMES: '1' },
          ...onServer,
        },
      },
      {
        extends: true,
        test: {
          name: 'cli',
          include: ['test/cli/**/*.test.ts'],
          ...onServer,
          globalSetup: [...onServer.globalSetup, './test/helpers/cli/build.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          exclude: ['test/faults/cluster*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 240_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'cluster',
          include: ['test/faults/cluster*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 240_000,
        },
      },
      {
        extends: true,
        test: { name: 'interop', include: ['test/interop/**/*.test.ts'], ...onServer },
      },
      {
        extends: true,
        test: {
          name: 'databases',
          include: ['test/databases/**/*.test.ts'],
          ...onServer,
          globalSetup: [...onServer.globalSetup, './test/helpers/databases/global-setup.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'examples',
          include: ['test/examples/**/*.test.ts', 'examples/fastify/**/*.test.ts'],
          ...onServer,
        },
      },
    ],
  },
});
