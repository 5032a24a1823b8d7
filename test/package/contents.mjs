// What is in the packed package, and how much an installation of it takes.
import assert from 'node:assert/strict';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** Beside the builds, what npm always adds, and the two files that the README promises. */
const EXPECTED =
  /^(dist\/[\w-]+\.(js|cjs|d\.ts|d\.cts)|package\.json|README\.md|LICENSE|CHANGELOG\.md|grafana\.json)$/;

/** In bytes; the unpacked files. */
const MAX_PACKAGE_BYTES = 1_800_000;
const MAX_INSTALLED_BYTES = 8 * 1024 * 1024;
const MAX_PACKAGES = 6;

/** @param files - those that `npm pack --json` lists */
export function checkContents(files, unpackedSize) {
  const strange = files.map(({ path }) => path).filter((path) => !EXPECTED.test(path));
  assert.deepEqual(strange, [], 'the package has files that it should not have');
  assert(
    unpackedSize <= MAX_PACKAGE_BYTES,
    `the package has ${unpackedSize} bytes, ${MAX_PACKAGE_BYTES} at most`,
  );
  const here = process.cwd();
  for (const { path } of files)
    assert(!readFileSync(path, 'utf8').includes(here), `${path} names a path of this machine`);
}

/** What can be imported is what the pages for users name. */
export function checkSubpaths(exports) {
  const pages = ['README.md', ...readdirSync('docs').map((name) => join('docs', name))];
  const text = pages
    .filter((path) => path.endsWith('.md'))
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
  const documented = new Set([...text.matchAll(/['"`]leveret(\/[\w.]+)/g)].map(([, name]) => `.${name}`));
  const reachable = Object.keys(exports).filter((name) => name !== '.' && name !== './package.json');
  assert.deepEqual(
    reachable.sort(),
    [...documented].sort(),
    'the subpaths are not those of the documentation',
  );
}

/** What the declarations of an entry may import, beside their own files and Node: the peers that it needs. */
const PEERS = { nestjs: ['@nestjs/common'], opentelemetry: ['@opentelemetry/api'] };

/** No type of a dependency is part of the public declarations. */
export function checkDeclarations(exports) {
  for (const { import: esm, require: cjs } of Object.values(exports)) {
    if (esm === undefined) continue; // a JSON file
    for (const { types } of [esm, cjs]) {
      const allowed = PEERS[basename(types).split('.')[0]] ?? [];
      for (const [file, name] of importsOf(types)) {
        assert(name.startsWith('node:') || allowed.includes(name), `${file} imports ${name}`);
      }
    }
  }
}

/** What a declaration file imports from elsewhere, and what its own files do. */
function importsOf(file, seen = new Set()) {
  if (seen.has(file)) return [];
  seen.add(file);
  const code = readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '');
  const names = [...code.matchAll(/(?:from |import\()["']([^"']+)["']/g)].map(([, name]) => name);
  return names.flatMap((name) => {
    if (!name.startsWith('.')) return [[file, name]];
    return importsOf(join('dist', name.replace(/\.(c?)js$/, '.d.$1ts')), seen);
  });
}

/** @param project - a folder where nothing but the package and zod is installed */
export function checkInstallation(project) {
  const modules = join(project, 'node_modules');
  const packages = readdirSync(modules).filter((name) => !name.startsWith('.'));
  assert(
    packages.length <= MAX_PACKAGES,
    `${packages.length} packages are installed: ${packages.join(', ')}`,
  );
  const bytes = sizeOf(modules);
  assert(bytes <= MAX_INSTALLED_BYTES, `${bytes} bytes are installed, ${MAX_INSTALLED_BYTES} at most`);
}

function sizeOf(path) {
  const stats = lstatSync(path);
  if (!stats.isDirectory()) return stats.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}
