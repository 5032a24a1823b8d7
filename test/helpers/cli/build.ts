import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { build } from 'tsup';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The folder that has the command, and the contracts that the tests give to it. */
    cli: string;
  }
}

/** Builds the command once: started from its source, each run would take seconds. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Where the packages that it imports can be found.
  await mkdir('node_modules/.cache', { recursive: true });
  const folder = await mkdtemp('node_modules/.cache/leveret-cli-');
  await build({
    config: false,
    silent: true,
    entry: { cli: 'src/cli/main.ts', contracts: 'test/cli/contracts.ts' },
    outDir: folder,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    splitting: true,
    noExternal: ['leveret'],
    outExtension: () => ({ js: '.mjs' }),
  });
  project.provide('cli', folder);
  return () => rm(folder, { recursive: true, force: true });
}
