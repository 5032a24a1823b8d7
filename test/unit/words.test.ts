import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Folders whose texts are checked, with everything in them; beside them, the pages at the top. */
const FOLDERS = ['src', 'docs', 'examples', 'test', 'bench'];

/** This file names the words. */
const SELF = 'test/unit/words.test.ts';

/** Words that plain English does without, and what to write instead. */
const WORDS: readonly (readonly [word: string, instead: string])[] = [
  ['can not', 'cannot'],
  ['for ever', 'forever, or indefinitely'],
  ['somebody', 'the noun: a program, a listener, a user'],
  ['nobody', 'the noun: no consumer, no caller'],
  ['whoever', 'the noun: the sender, the owner'],
  ['lest', 'so that … not'],
];

/** Places where a word is not English. */
const NAMES: readonly (readonly [file: string, word: string])[] = [
  ['test/helpers/databases/private-process.ts', 'nobody'], // a user of the system
];

/** Two words may stand in two lines of a comment. */
const patternOf = (word: string) => new RegExp(`\\b${word.replace(' ', '(?:\\s|\\*|//)+')}\\b`, 'gi');

function filesUnder(folder: string): string[] {
  return readdirSync(`${root}${folder}`, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesUnder(path);
    return /\.(?:ts|js|mjs|cjs|md|json|ya?ml)$/.test(entry.name) && entry.name !== 'package-lock.json'
      ? [path]
      : [];
  });
}

function wordsIn(text: string) {
  return WORDS.flatMap(([word, instead]) =>
    [...text.matchAll(patternOf(word))].map(({ index }) => {
      const line = text.slice(0, index).split('\n').length;
      return { word, line, instead };
    }),
  );
}

const files = [
  ...FOLDERS.flatMap(filesUnder),
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
].filter((file) => file !== SELF);

const found = files.flatMap((file) =>
  wordsIn(readFileSync(`${root}${file}`, 'utf8')).map((it) => ({ file, ...it })),
);

const isName = ({ file, word }: { readonly file: string; readonly word: string }) =>
  NAMES.some((name) => name[0] === file && name[1] === word);

describe('the texts', () => {
  it('are plain English', () => {
    const complaints = found
      .filter((it) => !isName(it))
      .map(({ file, line, word, instead }) => `${file}:${line}: '${word}', write ${instead}`);
    expect(complaints).toEqual([]);
  });

  it('are looked at', () => {
    expect(files.length).toBeGreaterThan(500);
    expect(files).toEqual(expect.arrayContaining(['README.md', 'src/index.ts', 'docs/reliability.md']));
    expect(wordsIn('/**\n * It can\n * not. Nobody knows.\n */')).toEqual([
      { word: 'can not', line: 2, instead: 'cannot' },
      { word: 'nobody', line: 3, instead: 'the noun: no consumer, no caller' },
    ]);
    expect(wordsIn('cannot, forever, celestial')).toEqual([]);
  });

  it('have no exception that is not needed', () => {
    const needed = NAMES.filter(([file, word]) => found.some((it) => it.file === file && it.word === word));
    expect(needed).toEqual(NAMES);
  });
});
