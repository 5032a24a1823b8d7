/** A piece of HTML in which every text is escaped. Only {@link html} makes one. */
export class Markup {
  readonly #source: string;

  constructor(source: string) {
    this.#source = source;
  }

  toString(): string {
    return this.#source;
  }
}

/** What a template takes: a text is escaped, a list is joined, and `undefined` and `false` are left out. */
export type Part = Markup | string | number | undefined | false | readonly Part[];

/** Makes HTML of a template: what is written in it is HTML, what is put into it is text or {@link Markup}. */
export function html(template: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(String.raw({ raw: template }, ...parts.map(sourceOf)));
}

function sourceOf(part: Part): string {
  if (part === undefined || part === false) return '';
  if (part instanceof Markup) return part.toString();
  if (typeof part === 'object') return part.map(sourceOf).join('');
  return String(part).replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A text of several lines, as it is written: CommonMark reads well without being set. */
export function prose(text: string): Markup {
  return html`<p class="prose">${text}</p>`;
}
