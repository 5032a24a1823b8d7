import { type Entries, entriesOf, isEntries, lineOf, type References } from './data.js';
import { html, type Markup, type Part, prose } from './markup.js';
import { tree } from './tree.js';

/** Keywords with a presentation of their own; all others are constraints. */
const OWN_WAY = new Set([
  ...['$ref', '$schema', 'type', 'title', 'description', 'required', 'deprecated'],
  ...['properties', 'patternProperties', 'definitions', '$defs', 'dependencies', 'dependentSchemas'],
  ...['additionalProperties', 'items', 'additionalItems', 'contains', 'propertyNames', 'prefixItems'],
  ...['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else'],
]);

/** Keywords that hold schemas by name, with what precedes the name. */
const NAMED: readonly (readonly [keyword: string, prefix: string])[] = [
  ['patternProperties', 'matching '],
  ['dependencies', 'with '],
  ['dependentSchemas', 'with '],
];

/** Keywords that hold one schema or a list of them. */
const NESTED: readonly (readonly [keyword: string, label: string])[] = [
  ['additionalProperties', 'any other field'],
  ['propertyNames', 'each name'],
  ['items', 'each item'],
  ['prefixItems', 'item'],
  ['additionalItems', 'any other item'],
  ['contains', 'an item'],
  ['allOf', 'all of'],
  ['anyOf', 'any of'],
  ['oneOf', 'one of'],
  ['not', 'not'],
  ['if', 'if'],
  ['then', 'then'],
  ['else', 'else'],
];

/** Shows one schema. A part that is referenced several times is shown once, so that a recursive schema ends. */
export class SchemaView {
  readonly #references: References;
  readonly #shown = new Set<unknown>();

  constructor(references: References) {
    this.#references = references;
  }

  show(schema: unknown): Markup {
    return html`<ul class="fields">${this.#field('', schema, false)}</ul>`;
  }

  #field(label: Part, schema: unknown, isRequired: boolean): Markup {
    const { name, value } = this.#references.follow(schema);
    const required = isRequired && html` <strong class="required">required</strong>`;
    if (!isEntries(value)) {
      const text =
        value === undefined ? lineOf(schema) : value === true ? 'any' : value === false ? 'none' : '';
      return html`<li>${label} <span class="type">${text || lineOf(value)}</span>${required}</li>`;
    }
    const named = name !== undefined && html` <span class="reference">${name}</span>`;
    if (this.#shown.has(value)) {
      return html`<li>${label} <span class="type">${typeOf(value)}</span>${named}${required} <span class="constraint">as above</span></li>`;
    }
    this.#shown.add(value);
    // Another language than JSON Schema, in AsyncAPI's own wrapping.
    if (typeof value.schemaFormat === 'string') {
      return html`<li>${label} <span class="type">${value.schemaFormat}</span>${required}${this.#foreign(value)}</li>`;
    }
    const { title, description } = value;
    return html`<li>${label} <span class="type">${typeOf(value)}</span>${named}${required}${constraintsOf(value)}${
      typeof title === 'string' && html` <span class="title">${title}</span>`
    }${typeof description === 'string' && prose(description)}${this.#within(value)}</li>`;
  }

  #foreign({ schemaFormat, schema }: Entries): Markup {
    const isJsonSchema = /json|asyncapi/.test(String(schemaFormat)) && !/avro/.test(String(schemaFormat));
    return isJsonSchema ? this.show(schema) : tree(this.#references.follow(schema).value);
  }

  #within(schema: Entries): Markup | undefined {
    const { required } = schema;
    const names: readonly unknown[] = Array.isArray(required) ? required : [];
    const fields = entriesOf(schema.properties).map(([name, it]) =>
      this.#field(html`<code class="name">${name}</code>`, it, names.includes(name)),
    );
    const named = NAMED.flatMap(([keyword, prefix]) =>
      entriesOf(schema[keyword]).map(([name, it]) =>
        Array.isArray(it)
          ? html`<li>${prefix}<code class="name">${name}</code> <span class="constraint">${lineOf(it)}</span></li>`
          : this.#field(html`${prefix}<code class="name">${name}</code>`, it, false),
      ),
    );
    const nested = NESTED.flatMap(([keyword, label]) => this.#nested(schema[keyword], label));
    // Those that something refers to are shown there.
    const others = ['definitions', '$defs'].flatMap((keyword) =>
      entriesOf(schema[keyword])
        .filter(([, it]) => !this.#shown.has(this.#references.follow(it).value))
        .map(([name, it]) => this.#field(html`definition <code class="name">${name}</code>`, it, false)),
    );
    const all = [...fields, ...named, ...nested, ...others];
    return all.length === 0 ? undefined : html`<ul class="fields">${all}</ul>`;
  }

  #nested(value: unknown, label: string): readonly Markup[] {
    if (value === undefined) return [];
    const numbered = label === 'item' || label === 'each item';
    if (!Array.isArray(value)) return [this.#field(html`<span class="part">${label}</span>`, value, false)];
    return value.map((it, index) => {
      const text = numbered ? `item ${index}` : `${label}, ${index + 1}`;
      return this.#field(html`<span class="part">${text}</span>`, it, false);
    });
  }
}

function typeOf({ type, properties, items, anyOf, oneOf, allOf, enum: values, ...schema }: Entries): string {
  if (typeof type === 'string') return type;
  if (Array.isArray(type)) return type.map(String).join(' or ');
  if (properties !== undefined) return 'object';
  if (items !== undefined) return 'array';
  if (anyOf !== undefined || oneOf !== undefined) return 'one of several';
  if (allOf !== undefined) return 'all of several';
  if (values !== undefined || 'const' in schema) return 'value';
  return 'any';
}

function constraintsOf(schema: Entries): readonly Markup[] {
  const { required, properties, deprecated } = schema;
  const missing = Array.isArray(required)
    ? required.filter((name) => !(isEntries(properties) && Object.hasOwn(properties, String(name))))
    : [];
  const shown = Object.entries(schema).filter(([key, value]) => !OWN_WAY.has(key) && value !== undefined);
  return [
    ...(deprecated === true ? [html` <span class="constraint">deprecated</span>`] : []),
    ...shown.map(([key, value]) => html` <span class="constraint">${key}: ${lineOf(value)}</span>`),
    ...missing.map((name) => html` <span class="constraint">required: ${lineOf(name)}</span>`),
  ];
}
