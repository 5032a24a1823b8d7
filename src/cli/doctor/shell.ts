/** Words and lines for a POSIX shell. */

/** A word as a shell takes it: bare where it needs no quotes, else in single ones. */
export function quoted(word: string): string {
  return /^[\w./:@%+=,^-]+$/.test(word) && !word.startsWith('=')
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}

export function line(...words: readonly string[]): string {
  return words.map(quoted).join(' ');
}

/** Whether a name fits in one line of a shell script, and is readable before the line runs. */
export function isPlainName(name: string): boolean {
  return !/\p{Cc}/u.test(name) && !name.startsWith('-');
}

/** A regular expression that only this name matches, for Erlang's `re`. */
export function exactly(name: string): string {
  return `^${escaped(name)}$`;
}

export function escaped(name: string): string {
  return name.replaceAll(/[\\^$.|?*+()[\]{}]/g, '\\$&');
}
