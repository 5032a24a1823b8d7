import { ConfigurationError } from '../../errors.js';
import { show } from '../../util/checks.js';
import { type Entries, entriesOf, isEntries, keyOf, lineOf, References, without } from './data.js';
import { html, Markup, type Part, prose } from './markup.js';
import { SchemaView } from './schema.js';
import { STYLE } from './style.js';
import { facts, tree } from './tree.js';

/**
 * Creates one HTML page from an AsyncAPI document. The page is self-contained: opening it makes no request of any kind, also
 * from `file:`, and needs no scripts. It follows the reader's choice of a light or a dark appearance. Every channel,
 * operation, message and field is on it as text, including `x-leveret`.
 *
 * @param document - a document created by {@link asyncapi}, or any other AsyncAPI 3 document as JSON data; references to
 * other files are shown but not followed
 * @throws ConfigurationError for anything but an AsyncAPI 3 document
 * @example
 * ```ts
 * const document = asyncapi([emails, orders], { title: 'Shop', version: '1.4.0' });
 * await writeFile('asyncapi.html', asyncapiHtml(document));
 * ```
 */
export function asyncapiHtml(document: object): string {
  if (!isEntries(document) || !/^3\./.test(String(document.asyncapi))) {
    const got = isEntries(document) ? show(document.asyncapi) : show(document);
    throw new ConfigurationError('document', `asyncapiHtml(…): expected an AsyncAPI 3 document, got ${got}`);
  }
  return new Page(document).toString();
}

/** The parts of the document's root that have a place of their own. */
const ROOT = ['asyncapi', 'info', 'servers', 'channels', 'operations', 'components'];

class Page {
  readonly #document: Entries;
  readonly #references: References;

  constructor(document: Entries) {
    this.#document = document;
    this.#references = new References(document);
  }

  toString(): string {
    const { channels, operations, servers, components, asyncapi } = this.#document;
    const info = isEntries(this.#document.info) ? this.#document.info : {};
    const title = lineOf(info.title ?? 'AsyncAPI');
    const parts = [
      this.#group('servers', 'Servers', servers, (_key, value) => tree(value)),
      this.#group('channel', 'Channels', channels, (_key, value) => this.#channel(value)),
      this.#group('operation', 'Operations', operations, (_key, value) => this.#operation(value)),
      ...entriesOf(components).map(([kind, values]) =>
        this.#group(`components-${kind}`, `Components: ${kind}`, values, (_key, value) =>
          this.#component(kind, value),
        ),
      ),
    ];
    const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${new Markup(STYLE)}</style>
</head>
<body>
<div class="page">
<nav aria-label="Contents">
${link('top', title)}
${list('servers', 'Servers', servers)}${list('channel', 'Channels', channels)}${list('operation', 'Operations', operations)}
</nav>
<main id="top">
<h1>${title}</h1>
<p class="quiet">Version ${lineOf(info.version ?? '–')} · AsyncAPI ${lineOf(asyncapi)}</p>
${typeof info.description === 'string' && prose(info.description)}
${facts(without(info, ['title', 'version', 'description']))}
${facts(without(this.#document, ROOT))}
${parts}
</main>
</div>
</body>
</html>
`;
    return page.toString();
  }

  #group(id: string, title: string, values: unknown, view: (key: string, value: unknown) => Part): Part {
    const entries = entriesOf(values);
    if (entries.length === 0) return undefined;
    const cards = entries.map(([key, given]) => {
      const { value } = this.#references.follow(given);
      const heading = id === 'operation' ? badge(value) : undefined;
      const body = value === undefined ? tree(given) : view(key, value);
      return html`<section class="card" id="${anchor(id, key)}"><h3>${heading}${key}</h3>${body}</section>\n`;
    });
    return html`<h2 id="${id}">${title}</h2>\n${cards}`;
  }

  #channel(channel: unknown): Part {
    if (!isEntries(channel)) return tree(channel);
    const { address = null, parameters, messages, bindings, 'x-leveret': leveret } = channel;
    const own = ['address', 'parameters', 'messages', 'bindings', 'x-leveret', ...TEXTS];
    return [
      texts(channel),
      facts({ address: address ?? 'none', parameters, ...without(channel, own) }),
      entriesOf(messages).map(([key, message]) => this.#message(key, message)),
      leveret !== undefined && html`<h4><code>x-leveret</code></h4>${tree(leveret)}`,
      bindings !== undefined && html`<h4>Bindings</h4>${tree(bindings)}`,
    ];
  }

  #message(key: string, given: unknown): Part {
    const { value } = this.#references.follow(given);
    if (!isEntries(value)) return html`<h4>Message <code>${key}</code></h4>${tree(given)}`;
    const { payload, headers, name } = value;
    return [
      html`<h4>Message <code>${key}</code></h4>`,
      texts(value),
      facts({ name, ...without(value, ['payload', 'headers', 'name', ...TEXTS]) }),
      headers !== undefined && html`<h4>Headers</h4>${new SchemaView(this.#references).show(headers)}`,
      payload !== undefined && html`<h4>Payload</h4>${new SchemaView(this.#references).show(payload)}`,
    ];
  }

  #operation(operation: unknown): Part {
    if (!isEntries(operation)) return tree(operation);
    const { action, channel, messages, reply } = operation;
    const own = ['action', 'channel', 'messages', 'reply', ...TEXTS];
    return [
      texts(operation),
      tree({ action, channel: nameOf(channel), messages: namesOf(messages), ...without(operation, own) }),
      reply !== undefined && html`<h4>Reply</h4>${tree(this.#reply(reply))}`,
    ];
  }

  #reply(given: unknown): unknown {
    const { value } = this.#references.follow(given);
    if (!isEntries(value)) return given;
    const { channel, messages } = value;
    return {
      ...(channel === undefined ? undefined : { channel: nameOf(channel) }),
      ...(messages === undefined ? undefined : { messages: namesOf(messages) }),
      ...without(value, ['channel', 'messages']),
    };
  }

  #component(kind: string, value: unknown): Part {
    switch (kind) {
      case 'schemas':
        return new SchemaView(this.#references).show(value);
      case 'messages':
        return this.#message('', value);
      case 'channels':
        return this.#channel(value);
      case 'operations':
        return this.#operation(value);
      default:
        return tree(value);
    }
  }
}

/** The texts that stand at the top of a card. */
const TEXTS = ['title', 'summary', 'description'];

function texts(value: Entries): Part {
  const found = TEXTS.map((key) => value[key]).filter((text) => typeof text === 'string');
  return found.map((text) => prose(text));
}

function badge(operation: unknown): Part {
  const action = isEntries(operation) ? lineOf(operation.action) : '';
  const kind = action === 'send' ? 'send' : 'receive';
  return action !== '' && html`<span class="badge ${kind}">${action}</span>`;
}

function nameOf(reference: unknown): unknown {
  return isEntries(reference) && typeof reference.$ref === 'string' ? keyOf(reference.$ref) : reference;
}

function namesOf(references: unknown): unknown {
  return Array.isArray(references) ? references.map(nameOf) : references;
}

function list(id: string, title: string, values: unknown): Part {
  const entries = entriesOf(values);
  if (entries.length === 0) return undefined;
  return html`<h2>${title}</h2><ul>${entries.map(([key]) => html`<li>${link(anchor(id, key), key)}</li>`)}</ul>\n`;
}

function link(target: string, text: string): Markup {
  return html`<a href="#${encodeURIComponent(target)}">${text}</a>`;
}

function anchor(group: string, key: string): string {
  return `${group}-${key}`;
}
