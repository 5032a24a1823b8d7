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
  /** How it is coloured; the width counts without it. */
  readonly paint?: (text: string) => string;
}

/**
 * A table of cells that are already printable. Each line is at most `width` wide, if given: the last column is cut.
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
  const titles = columns.map(({ title }) => title);
  const widths = columns.map((_, at) => Math.max(...[titles, ...rows].map((row) => widthOf(row[at] ?? ''))));
  const line = (cells: readonly string[], paint: (text: string, column: Column) => string) => {
    let used = 0;
    const padded = columns.map((column, at) => {
      const isLast = at === columns.length - 1;
      const room = isLast && width !== undefined ? Math.max(8, width - used) : Number.POSITIVE_INFINITY;
      const text = cut(cells[at] ?? '', room);
      const padding = ' '.repeat(Math.max(0, (widths[at] ?? 0) - widthOf(text)));
      used += (widths[at] ?? 0) + 2;
      if (column.align === 'right') return padding + paint(text, column);
      return isLast ? paint(text, column) : paint(text, column) + padding;
    });
    return padded.join('  ').trimEnd();
  };
  return [
    line(titles, (text) => bold(text)),
    ...rows.map((row) => line(row, (text, { paint = (it) => it }) => paint(text))),
  ];
}

function widthOf(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}

function cut(text: string, room: number): string {
  const characters = [...text];
  return characters.length <= room ? text : `${characters.slice(0, room - 1).join('')}…`;
}

/** `1 message`, `2 messages`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
