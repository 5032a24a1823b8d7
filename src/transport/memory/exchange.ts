import type { BindingDeclaration, ExchangeDeclaration } from '../port.js';
import { matchesHeaders } from './headers-match.js';
import type { StoredMessage } from './message.js';
import type { MemoryQueue } from './queue.js';
import type { MemoryStream } from './stream.js';
import { TopicTrie } from './topic.js';

/** A queue of any type. */
export type AnyQueue = MemoryQueue | MemoryStream;

/** The destination of a binding. */
export type Destination = AnyQueue | MemoryExchange;

export interface Binding {
  readonly destination: Destination;
  readonly routingKey: string;
  readonly arguments: BindingDeclaration['arguments'];
}

/** One exchange and its bindings. */
export class MemoryExchange {
  readonly declaration: ExchangeDeclaration;
  readonly #bindings = new Map<string, Binding>();
  readonly #byKey = new Map<string, Set<Binding>>();
  readonly #byPattern = new TopicTrie<Binding>();

  constructor(declaration: ExchangeDeclaration) {
    this.declaration = declaration;
  }

  get name(): string {
    return this.declaration.name;
  }

  get alternate(): string | undefined {
    return this.declaration.arguments['alternate-exchange'] as string | undefined;
  }

  get hasBindings(): boolean {
    return this.#bindings.size > 0;
  }

  bind(binding: Binding): void {
    const key = keyOf(binding);
    if (this.#bindings.has(key)) return;
    this.#bindings.set(key, binding);
    const { routingKey } = binding;
    if (this.declaration.type === 'topic') this.#byPattern.add(routingKey, binding);
    const same = this.#byKey.get(routingKey) ?? new Set();
    same.add(binding);
    this.#byKey.set(routingKey, same);
  }

  /** Removes every binding to this destination. Returns false if there was none. */
  unbindAll(destination: Destination): boolean {
    let found = false;
    for (const [key, binding] of this.#bindings) {
      if (binding.destination !== destination) continue;
      found = true;
      this.#bindings.delete(key);
      this.#byPattern.remove(binding.routingKey, binding);
      const same = this.#byKey.get(binding.routingKey);
      same?.delete(binding);
      if (same?.size === 0) this.#byKey.delete(binding.routingKey);
    }
    return found;
  }

  /** Calls back with each destination of the message, with some of them more than once. */
  route(message: StoredMessage, onMatch: (destination: Destination) => void): void {
    const matched = (binding: Binding) => onMatch(binding.destination);
    switch (this.declaration.type) {
      case 'fanout':
        for (const binding of this.#bindings.values()) matched(binding);
        break;
      case 'headers':
        for (const binding of this.#bindings.values())
          if (matchesHeaders(binding.arguments, message.headers)) matched(binding);
        break;
      case 'topic':
        for (const key of message.routingKeys) this.#byPattern.match(key, matched);
        break;
      default:
        for (const key of message.routingKeys)
          for (const binding of this.#byKey.get(key) ?? []) matched(binding);
    }
  }
}

function keyOf({ destination, routingKey, arguments: args }: Binding): string {
  const kind = destination instanceof MemoryExchange ? 'exchange' : 'queue';
  return JSON.stringify([kind, destination.name, routingKey, Object.entries(args).sort()]);
}
