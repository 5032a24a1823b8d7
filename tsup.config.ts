import { defineConfig, type Options } from 'tsup';

const shared = {
  entry: {
    index: 'src/index.ts',
    asyncapi: 'src/asyncapi/index.ts',
    opentelemetry: 'src/opentelemetry/index.ts',
    postgres: 'src/postgres/index.ts',
    redis: 'src/redis/index.ts',
    nestjs: 'src/nestjs/index.ts',
    testing: 'src/testing/index.ts',
  },
  outDir: 'dist',
  platform: 'node',
  target: 'node20',
  splitting: true,
  // Every name is kept and no line is long, so that a stack trace can be read without a source map: maps would make the package
  // more than twice as large.
  esbuildOptions(options) {
    options.minifyWhitespace = true;
    options.lineLimit = 120;
  },
} satisfies Options;

export default defineConfig([
  {
    ...shared,
    // The command is an ES module only: no module imports it.
    entry: { ...shared.entry, cli: 'src/cli/main.ts' },
    format: 'esm',
    dts: { entry: shared.entry },
  },
  {
    ...shared,
    format: 'cjs',
    dts: true,
    // p-retry and what it imports exist as ES modules only: bundled, so that require() works on every Node and under jest.
    noExternal: ['p-retry', 'is-network-error'],
    banner: { js: '/*! Includes p-retry and is-network-error: MIT License, Copyright (c) Sindre Sorhus */' },
  },
]);
