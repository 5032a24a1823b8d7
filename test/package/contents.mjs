// What is in the packed package, and how much an installation of it takes.
import assert from 'node:assert/strict';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

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
