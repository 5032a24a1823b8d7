import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Pages that name files of the source, from its folder or from the top. */
const PAGES = ['docs/architecture.md', 'CONTRIBUTING.md'];

/** Files that are written by a build. */
const BUILT = ['docs-site/'];

/** What stands between backticks and is the name of a file or of a folder. */
function filesIn(text: string): string[] {
  const named = [...text.matchAll(/`([\w.@/-]+)`/g)].map(([, name = '']) => name);
  return named.filter((name) => /^[\w@.-]+(?:\/[\w@.-]+)*(?:\.(?:ts|mjs|md|json|js)|\/)$/.test(name));
}

const exists = (name: string) => [`src/${name}`, name].some((path) => existsSync(`${root}${path}`));

describe('the pages for contributors', () => {
  it.each(PAGES)('%s names no file that does not exist', (page) => {
    const missing = filesIn(readFileSync(`${root}${page}`, 'utf8')).filter(
      (name) => !exists(name) && !BUILT.includes(name),
    );
    expect(missing).toEqual([]);
  });

  it('are looked at', () => {
    expect(filesIn(readFileSync(`${root}docs/architecture.md`, 'utf8')).length).toBeGreaterThan(80);
    expect(filesIn('`a/b.ts` and `docs/` and `npm test` and `Session.isLive` and `x-death`')).toEqual([
      'a/b.ts',
      'docs/',
    ]);
    expect(exists('consumer/subscription.ts')).toBe(false);
  });
});
