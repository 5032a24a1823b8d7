// Looks through the built site: no link or anchor is broken, also in the search, and no page makes a request to another host.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { inflateSync } from 'node:zlib';

const [site = 'docs-site'] = process.argv.slice(2);
const files = readdirSync(site, { recursive: true, encoding: 'utf8' });
const pages = files.filter((name) => name.endsWith('.html'));
const texts = new Map(pages.map((page) => [page, readFileSync(join(site, page), 'utf8')]));
const anchors = new Map(
  [...texts].map(([page, text]) => [
    page,
    new Set([...text.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id)),
  ]),
);
const complaints = [];

/** What a page loads by itself: everything but the links that a reader follows. */
const LOADED =
  /<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\ssrc="([^"]+)"|<link\b[^>]*\shref="([^"]+)"/g;

for (const [page, text] of texts) {
  for (const [tag, src, href] of text.matchAll(LOADED)) {
    const url = src ?? href;
    if (/^(?:https?:)?\/\//.test(url) && !/rel="canonical"/.test(tag))
      complaints.push(`${page}: loads ${url}`);
  }
  for (const [rule] of text.matchAll(/@import url\(['"]?(?:https?:)?\/\/[^)]+\)/g))
    complaints.push(`${page}: loads ${rule}`);
  if (text.includes('<code class="mermaid">')) complaints.push(`${page}: a diagram is not drawn`);
  for (const [, url] of text.matchAll(/<a\b[^>]*\shref="([^"]+)"/g)) checkLink(page, url);
}

function checkLink(page, url) {
  if (/^[a-z]+:/i.test(url)) return;
  const [path, anchor] = url.split('#').map(decodeURIComponent);
  const named = path === '' ? page : relative(site, join(site, dirname(page), path));
  const target = named === '' || named.endsWith('/') ? join(named, 'index.html') : named;
  if (!existsSync(join(site, target)) || !statSync(join(site, target)).isFile())
    complaints.push(`${page}: ${url}: no such file`);
  else if (anchor && anchors.has(target) && !anchors.get(target).has(anchor))
    complaints.push(`${page}: ${url}: no such anchor`);
}

const search = /"([^"]+)"/.exec(readFileSync(join(site, 'assets/search.js'), 'utf8'))?.[1] ?? '';
const { rows } = JSON.parse(inflateSync(Buffer.from(search, 'base64')));
const sections = rows.map(({ url }) => url).filter((url) => /^documents\/.*#/.test(url));
for (const url of sections) checkLink('index.html', url);
if (sections.length < 100) complaints.push(`the search knows only ${sections.length} sections of the guides`);

for (const name of files.filter((it) => it.endsWith('.css'))) {
  const foreign = /url\(['"]?(?:https?:)?\/\/[^)]+\)|@import\s+['"]https?:/.exec(
    readFileSync(join(site, name), 'utf8'),
  );
  if (foreign) complaints.push(`${name}: loads ${foreign[0]}`);
}

if (pages.length < 50) complaints.push(`only ${pages.length} pages were found in ${site}`);
for (const complaint of complaints) console.error(complaint);
console.log(`${pages.length} pages, ${complaints.length} complaints`);
process.exitCode = complaints.length === 0 ? 0 : 1;
