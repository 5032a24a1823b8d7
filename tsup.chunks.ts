// Merges the chunks of the ES modules that `leveret` itself needs into one. esbuild splits what entries share by who shares it: that
// made eleven files, whose import took 4 ms more than that of one. The other entries are of no use without `leveret`, so they may
// import all of it.
import { readdirSync, rmSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { rollup } from 'rollup';
import { LICENSES } from './tsup.licenses.js';

const dist = resolve('dist');
const files = readdirSync(dist).filter((name) => name.endsWith('.js'));
// What `import()` loads has a hash in its name, too.
const entries = files.filter((name) => !/-[A-Z0-9]{8}\.js$/.test(name));

const bundle = await rollup({
  input: Object.fromEntries(entries.map((name) => [name.replace(/\.js$/, ''), resolve(dist, name)])),
  external: (id) => !id.startsWith('.') && !isAbsolute(id),
  treeshake: false,
});

const modules = bundle.cache?.modules ?? [];
const imports = new Map(modules.map(({ id, dependencies }) => [id, dependencies]));
const core = new Set<string>();
function addToCore(id: string): void {
  if (core.has(id) || !imports.has(id)) return;
  core.add(id);
  for (const dependency of imports.get(id) ?? []) addToCore(dependency);
}
addToCore(resolve(dist, 'index.js'));

for (const name of files) rmSync(resolve(dist, name));
await bundle.write({
  dir: dist,
  format: 'esm',
  manualChunks: (id) => (core.has(id) ? 'core' : undefined),
  // esbuild has named the others with a hash.
  chunkFileNames: ({ name }) => (name === 'core' ? 'core-[hash].js' : '[name].js'),
  banner: ({ name }) => (name === 'core' ? LICENSES : ''),
  hoistTransitiveImports: false,
});
await bundle.close();
