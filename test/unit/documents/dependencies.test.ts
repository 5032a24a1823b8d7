import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const page = read('docs/dependencies.md');

/** By its name, or by its scope: `@nestjs/…`. */
function isNamed(dependency: string): boolean {
  const [scope, name] = dependency.split('/');
  if (name !== undefined && page.includes(`${scope}/…`)) return true;
  return page.split(/[^\w@/-]+/).includes(dependency);
}

describe('the page of dependencies', () => {
  const { dependencies, devDependencies, peerDependencies } = JSON.parse(read('package.json'));

  it.each(Object.keys({ ...dependencies, ...devDependencies, ...peerDependencies }))(
    'says why %s is there',
    (name) => {
      expect(isNamed(name)).toBe(true);
    },
  );

  it('is looked at', () => {
    expect(isNamed('left-pad')).toBe(false);
    expect(isNamed('@scope/anything')).toBe(false);
    expect(isNamed('post')).toBe(false);
  });
});
