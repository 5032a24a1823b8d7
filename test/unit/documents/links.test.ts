import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));

const documents = ['', 'docs', 'examples', 'bench', '.github'].flatMap((folder) =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder))
        .filter((name) => name.endsWith('.md'))
        .map((name) => join(folder, name))
    : [],
);

const textOf = (path: string) => readFileSync(join(root, path), 'utf8').replaceAll(/^```.*?^```$/gms, '');

/** The anchors of a document's headings, as GitHub makes them. */
function anchorsOf(path: string): Set<string> {
  const headings = [...textOf(path).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => heading);
  const slugs = headings.map((heading) =>
    heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(/\s/g, '-'),
  );
  return new Set(slugs);
}

/** What is wrong with the links of a document, beside those to other hosts. */
function brokenLinksOf(path: string): string[] {
  const links = [...textOf(path).matchAll(/(?<!\\)\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  return links.flatMap((link) => {
    if (/^[a-z]+:/.test(link)) return [];
    const [file = '', anchor] = link.split('#');
    const target = file === '' ? path : relative(root, join(root, dirname(path), decodeURI(file)));
    if (!existsSync(join(root, target))) return [`${path}: ${link}: no such file`];
    if (anchor === undefined || !target.endsWith('.md')) return [];
    return anchorsOf(target).has(anchor) ? [] : [`${path}: ${link}: no such heading`];
  });
}

describe('the documents', () => {
  it.each(documents)('have no broken link: %s', (path) => {
    expect(brokenLinksOf(path)).toEqual([]);
  });

  it('name every page in the README', () => {
    const readme = textOf('README.md');
    const missing = readdirSync(join(root, 'docs')).filter(
      (name) => name.endsWith('.md') && !readme.includes(`(docs/${name}`),
    );
    expect(missing).toEqual([]);
  });
});
