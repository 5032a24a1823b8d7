/** An object of the document. */
export type Entries = Readonly<Record<string, unknown>>;

export function isEntries(value: unknown): value is Entries {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The objects of a map of the document by their keys; none when it is no map. */
export function entriesOf(value: unknown): readonly (readonly [key: string, value: unknown])[] {
  return isEntries(value) ? Object.entries(value) : [];
}

/** An object without some of its keys. */
export function without(value: Entries, keys: readonly string[]): Entries {
  return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
}

/** A value on one line: a text as it is, anything else as JSON. */
export function lineOf(value: unknown): string {
  if (typeof value === 'string') return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    // A document that was read by a parser may contain itself.
    return '…';
  }
}

/** A reference resolved: where it led, and what is there; `undefined` when nothing is. */
export interface Resolved {
  readonly name: string | undefined;
  readonly value: unknown;
}

/** Follows the references of one document. */
export class References {
  readonly #document: unknown;

  constructor(document: unknown) {
    this.#document = document;
  }

  /** What the value refers to, over several steps; a value that is no reference is itself. */
  follow(value: unknown): Resolved {
    let name: string | undefined;
    let current = value;
    const passed = new Set<string>();
    while (isEntries(current) && typeof current.$ref === 'string') {
      const { $ref: reference } = current;
      name ??= keyOf(reference);
      if (passed.has(reference)) return { name, value: undefined };
      passed.add(reference);
      current = this.#at(reference);
    }
    return { name, value: current };
  }

  #at(reference: string): unknown {
    if (!/^#(?:\/|$)/.test(reference)) return undefined;
    let current: unknown = this.#document;
    for (const step of stepsOf(reference)) {
      // A part of the way may be a reference itself.
      const { value } = isReference(current) ? this.follow(current) : { value: current };
      const isThere = typeof value === 'object' && value !== null && Object.hasOwn(value, step);
      if (!isThere) return undefined;
      current = (value as Entries)[step];
    }
    return current;
  }
}

/** The last step of a reference: the name of what it leads to. */
export function keyOf(reference: string): string {
  return stepsOf(reference).at(-1) ?? reference;
}

function isReference(value: unknown): boolean {
  return isEntries(value) && typeof value.$ref === 'string';
}

function stepsOf(reference: string): readonly string[] {
  const [, pointer = ''] = reference.split('#');
  return pointer
    .split('/')
    .slice(1)
    .map((step) => decoded(step).replaceAll('~1', '/').replaceAll('~0', '~'));
}

function decoded(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}
