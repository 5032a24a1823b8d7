import { defineConfig, type Options } from 'tsup';
import { LICENSES } from './tsup.licenses.js';

/**
 * esbuild gives a class that names itself another name inside: `var Broker = class _Broker`. Errors, inspected objects and
 * NestJS print that name, so this brings the first one back.
 */
const classNames = {
  name: 'class-names',
  renderChunk: (code: string) => ({
    code: [...code.matchAll(/var (\w+)=class _\1\b/g)].reduce(
      (text, [, name]) => text.replaceAll(new RegExp(`\\b_${name}\\b`, 'g'), `${name}`),
      code,
    ),
  }),
};

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
  plugins: [classNames],
  // p-retry and what it imports exist as ES modules only: bundled, so that require() works on every Node and under jest, and so that
  // no start of a process looks for them.
  noExternal: ['p-retry', 'is-network-error'],
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
    // By rollup: what tsup does otherwise takes the names from classes, and rewrites optional chains.
    treeshake: true,
    banner: { js: LICENSES },
  },
]);
