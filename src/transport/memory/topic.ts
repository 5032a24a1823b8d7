interface Node<T> {
  readonly children: Map<string, Node<T>>;
  readonly values: Set<T>;
}

/** The patterns of a topic exchange: words between dots, `*` for exactly one, `#` for any number of them. */
export class TopicTrie<T> {
  readonly #root: Node<T> = makeNode();

  add(pattern: string, value: T): void {
    let node = this.#root;
    for (const word of wordsOf(pattern)) {
      let next = node.children.get(word);
      if (!next) {
        next = makeNode();
        node.children.set(word, next);
      }
      node = next;
    }
    node.values.add(value);
  }

  remove(pattern: string, value: T): void {
    removeFrom(this.#root, wordsOf(pattern), 0, value);
  }

  /** Calls back with every value whose pattern matches, more than once if the pattern matches in several ways. */
  match(key: string, onMatch: (value: T) => void): void {
    matchFrom(this.#root, wordsOf(key), 0, onMatch);
  }
}

/** An empty key has no words at all: `*` does not match it. */
function wordsOf(key: string): readonly string[] {
  return key === '' ? [] : key.split('.');
}

function makeNode<T>(): Node<T> {
  return { children: new Map(), values: new Set() };
}

function matchFrom<T>(
  node: Node<T>,
  words: readonly string[],
  at: number,
  onMatch: (value: T) => void,
): void {
  const any = node.children.get('#');
  if (any) for (let next = at; next <= words.length; next++) matchFrom(any, words, next, onMatch);
  if (at === words.length) {
    for (const value of node.values) onMatch(value);
    return;
  }
  const word = words[at] as string;
  const exact = node.children.get(word);
  // A key's own '*' or '#' is a word like any other, and matches itself only through the wildcards.
  if (exact && word !== '*' && word !== '#') matchFrom(exact, words, at + 1, onMatch);
  const one = node.children.get('*');
  if (one) matchFrom(one, words, at + 1, onMatch);
}

function removeFrom<T>(node: Node<T>, words: readonly string[], at: number, value: T): boolean {
  if (at === words.length) {
    node.values.delete(value);
  } else {
    const child = node.children.get(words[at] as string);
    if (child && removeFrom(child, words, at + 1, value)) node.children.delete(words[at] as string);
  }
  return node.values.size === 0 && node.children.size === 0;
}
