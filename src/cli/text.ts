import { stripVTControlCharacters } from 'node:util';

/**
 * Characters that a terminal would interpret instead of showing: control characters (C0, DEL, C1), line separators, and marks
 * that change the direction of the text, with which one name can imitate another.
 */
const UNPRINTABLE = /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** Text from outside, such as a queue's name, in a printable form. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const named = NAMED.get(character);
    if (named) return named;
    const code = character.charCodeAt(0);
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

const NAMED: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

/** One JSON document in one line. Characters that JSON allows and a terminal interprets are escaped, too. */
export function toJson(value: unknown): string {
  const text = JSON.stringify(value, (_key, it: unknown) => (typeof it === 'bigint' ? String(it) : it));
  return text.replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** How a cell is aligned. */
export interface Column {
  readonly title: string;
  readonly align?: 'right';
  /** How it is coloured, by its text and those of the row; the width counts without it. */
  readonly paint?: (text: string, row: readonly string[]) => string;
  /** It is left out, the last one first, where the table is too wide for the terminal. */
  readonly isOptional?: true;
}

/** What the last column keeps at least, before others are left out for it. */
const LAST_COLUMN_CHARACTERS = 16;

/**
 * A table of cells that are already printable. Each line is at most `width` wide, if given, as far as that can be: optional columns
 * are left out, and the last column is cut.
 *
 * @returns the lines, the titles first
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  {
    width,
    bold = (text: string) => text,
  }: { width?: number | undefined; bold?: (text: string) => string } = {},
): string[] {
  const all = columns.map((column, at) => ({
    ...column,
    at,
    width: Math.max(...[column.title, ...rows.map((row) => row[at] ?? '')].map(widthOf)),
  }));
  const shown = fitting(all, width);
  const line = (cells: readonly string[], paint: (text: string, column: Column) => string) => {
    let used = 0;
    const padded = shown.map((column, index) => {
      const isLast = index === shown.length - 1;
      const room = isLast && width !== undefined ? Math.max(8, width - used) : Number.POSITIVE_INFINITY;
      const text = cut(cells[column.at] ?? '', room);
      const padding = ' '.repeat(Math.max(0, column.width - widthOf(text)));
      used += column.width + 2;
      if (column.align === 'right') return padding + paint(text, column);
      return isLast ? paint(text, column) : paint(text, column) + padding;
    });
    return padded.join('  ').trimEnd();
  };
  return [
    line(
      columns.map(({ title }) => title),
      (text) => bold(text),
    ),
    ...rows.map((row) => line(row, (text, { paint = (it) => it }) => paint(text, row))),
  ];
}

/** The columns that there is room for. */
function fitting<T extends Column & { readonly width: number }>(
  columns: readonly T[],
  width: number | undefined,
): readonly T[] {
  const widths = columns.map((column, at) =>
    at === columns.length - 1 ? Math.min(column.width, LAST_COLUMN_CHARACTERS) : column.width + 2,
  );
  const total = widths.reduce((sum, it) => sum + it, 0);
  const leftOut = columns.findLastIndex(({ isOptional }) => isOptional);
  if (width === undefined || total <= width || leftOut < 0) return columns;
  return fitting(columns.toSpliced(leftOut, 1), width);
}

function widthOf(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}

function cut(text: string, room: number): string {
  const characters = [...text];
  return characters.length <= room ? text : `${characters.slice(0, room - 1).join('')}…`;
}

/** A text in lines of at most `width`, each after the indent, but for a word that is longer. */
export function wrapped(text: string, indent: string, width: number): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(' ')) {
    const next = line.trim() === '' ? `${indent}${word}` : `${line} ${word}`;
    if (next.length <= width || line.trim() === '') line = next;
    else {
      lines.push(line);
      line = `${indent}${word}`;
    }
  }
  return [...lines, line];
}

/** `1 message`, `2 messages`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** The word that a mistyped one was meant to be: its beginning, or within two keys of it. */
export function nearest(typed: string, words: readonly string[]): string | undefined {
  if (typed === '') return undefined;
  const isNear = (word: string) => typed.length > 2 && distance(typed, word) <= 2;
  return words.find((word) => word.startsWith(typed) || typed.startsWith(word)) ?? words.find(isNear);
}

/** How many characters have to be inserted, removed or replaced (Levenshtein). */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [row, character] of [...a].entries()) {
    const current = [row + 1];
    for (let at = 1; at <= b.length; at++) {
      const replaced = (previous[at - 1] ?? 0) + (character === b[at - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[at] ?? 0) + 1, (current[at - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
