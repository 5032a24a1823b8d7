/** A piece of HTML in which every text is escaped. Only {@link html} creates one. */
export class Markup {
  readonly #source: string;

  constructor(source: string) {
    this.#source = source;
  }

  toString(): string {
    return this.#source;
  }
}

/** A value in a template: a text is escaped, a list is joined, and `undefined` and `false` are left out. */
export type Part = Markup | string | number | undefined | false | readonly Part[];

/** Creates HTML from a template: the template itself is HTML; the inserted values are text or {@link Markup}. */
export function html(template: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(String.raw({ raw: template }, ...parts.map(sourceOf)));
}

function sourceOf(part: Part): string {
  if (part === undefined || part === false) return '';
  if (part instanceof Markup) return part.toString();
  if (typeof part === 'object') return part.map(sourceOf).join('');
  return String(part).replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A text of several lines, unchanged: CommonMark is readable as plain text. */
export function prose(text: string): Markup {
  return html`<p class="prose">${text}</p>`;
}
