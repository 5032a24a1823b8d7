import { isEntries, lineOf } from './data.js';
import { html, type Markup } from './markup.js';

/** Any data, as nested lists. */
export function tree(value: unknown, above: readonly unknown[] = []): Markup {
  if (typeof value !== 'object' || value === null) return html`<span class="value">${lineOf(value)}</span>`;
  if (above.includes(value)) return html`<span class="value">…</span>`;
  const within = [...above, value];
  if (Array.isArray(value)) {
    if (value.every((it) => typeof it !== 'object' || it === null)) {
      return html`<span class="value">${value.length === 0 ? '[]' : value.map(lineOf).join(', ')}</span>`;
    }
    return html`<ol class="tree">${value.map((it) => html`<li>${tree(it, within)}</li>`)}</ol>`;
  }
  const entries = Object.entries(value).filter(([, it]) => it !== undefined);
  if (entries.length === 0) return html`<span class="value">{}</span>`;
  return html`<dl class="tree">${entries.map(([key, it]) => row(key, it, within))}</dl>`;
}

/** Named data: nothing when there is none. */
export function facts(values: Readonly<Record<string, unknown>>): Markup | undefined {
  return Object.values(values).every((value) => value === undefined) ? undefined : tree(values);
}

function row(key: string, value: unknown, above: readonly unknown[]): Markup {
  const isNested = isEntries(value) && Object.keys(value).length > 0;
  return html`<div${isNested && html` class="nested"`}><dt>${key}</dt><dd>${tree(value, above)}</dd></div>`;
}
