/** Keys that object literals and careless copies of them treat as their prototype. */
const RESERVED = ['__proto__'];

/** Creates the keys of one map of the document: unique, and made of characters that every AsyncAPI tool accepts. */
export class Keys {
  readonly #taken = new Set<string>(RESERVED);

  /** The name with `_` for every other character than letters, digits, `.`, `_` and `-`; with `_2` and so on if that is taken. */
  take(name: string): string {
    const base = name.replace(/[^A-Za-z0-9._-]/gu, '_');
    let key = base;
    for (let count = 2; this.#taken.has(key); count++) key = `${base}_${count}`;
    this.#taken.add(key);
    return key;
  }
}
