/**
 * The passwords of this run. Nothing prints a URL that has one; this is the net below, for the texts of errors that others
 * made: of a contract's module, of Node, of the server.
 */
export class Secrets {
  readonly #forms = new Set<string>();

  /** Remembers a password, and the form that it has in a URL. A short one would blacken half of every text. */
  add(password: string, ...names: readonly string[]): void {
    for (const form of [password, encodeURIComponent(password), encodeURI(password), base64(password)]) {
      if (form.length >= 4 && !names.includes(form)) this.#forms.add(form);
    }
  }

  /** The text without any of them. */
  hide(text: string): string {
    let hidden = text;
    for (const form of [...this.#forms].sort((a, b) => b.length - a.length))
      hidden = hidden.replaceAll(form, '…');
    return hidden;
  }
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

/**
 * An argument of the command line as an error may show it. What stands before an `@` can be a password, also in what is no URL.
 */
export function shown(argument: string): string {
  const at = argument.lastIndexOf('@');
  const text = at < 0 ? argument : `…${argument.slice(at)}`;
  return `'${text.length > 60 ? `${text.slice(0, 57)}…` : text}'`;
}
