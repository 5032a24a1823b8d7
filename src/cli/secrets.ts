/**
 * The passwords of this run. Nothing prints a URL with a password; this is a safety net for error texts of others: of a
 * contract module, of Node, of the server.
 */
export class Secrets {
  readonly #forms = new Set<string>();

  /** Remembers a password, and its form in a URL. Not a short one, which would mask half of every text. */
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
 * An argument of the command line in a form that an error may show. The part before an `@` can be a password, even if it is
 * not a URL.
 */
export function shown(argument: string): string {
  const at = argument.lastIndexOf('@');
  const text = at < 0 ? argument : `…${argument.slice(at)}`;
  return `'${text.length > 60 ? `${text.slice(0, 57)}…` : text}'`;
}
