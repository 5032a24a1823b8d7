import type { BindingDeclaration, ExchangeDeclaration } from '../port.js';
import { amqpType, assertEquivalent } from './equivalence.js';
import { type AnyQueue, type Destination, MemoryExchange } from './exchange.js';
import { checkHeadersBinding } from './headers-match.js';
import { copyTable, type StoredMessage } from './message.js';
import { noExchange, noQueue, ServerRefusalError } from './server-refusal.js';
import type { Behaviour } from './version.js';

const TYPES: readonly string[] = ['direct', 'fanout', 'topic', 'headers'];

/** The exchanges of a server and their bindings. Routes messages. */
export class Exchanges {
  readonly #behaviour: Behaviour;
  readonly #queues: ReadonlyMap<string, AnyQueue>;
  readonly #exchanges = new Map<string, MemoryExchange>();

  constructor(behaviour: Behaviour, queues: ReadonlyMap<string, AnyQueue>) {
    this.#behaviour = behaviour;
    this.#queues = queues;
    for (const [name, type] of [...TYPES.map((it) => [`amq.${it}`, it]), ['amq.match', 'headers']] as const) {
      const declaration = { name, type, durable: true, autoDelete: false, internal: false, arguments: {} };
      this.#exchanges.set(name, new MemoryExchange(declaration as ExchangeDeclaration));
    }
  }

  declare(received: ExchangeDeclaration): void {
    const { name, type, arguments: args } = received;
    refuseDefault(name);
    if (!TYPES.includes(type))
      throw new ServerRefusalError(
        this.#behaviour.unknownTypeIsSoft ? 406 : 503,
        `unknown exchange type '${type}'`,
      );
    const existing = this.#exchanges.get(name);
    if (existing) {
      checkSame(received, existing.declaration);
      return;
    }
    if (name.startsWith('amq.'))
      throw new ServerRefusalError(403, `exchange name '${name}' contains reserved prefix 'amq.*'`);
    const alternate = args['alternate-exchange'];
    if (alternate !== undefined && typeof alternate !== 'string') {
      const wrong = `invalid type '${amqpType(alternate)}' for arg 'alternate-exchange'`;
      throw new ServerRefusalError(406, `${wrong} in exchange '${name}' in vhost '/'`);
    }
    this.#exchanges.set(name, new MemoryExchange(received));
  }

  check(name: string): void {
    refuseDefault(name);
    this.#find(name);
  }

  delete(name: string): void {
    refuseDefault(name);
    if (name.startsWith('amq.'))
      throw new ServerRefusalError(403, `deletion of system exchange '${name}' in vhost '/' not allowed`);
    const exchange = this.#exchanges.get(name);
    if (!exchange) return;
    this.#exchanges.delete(name);
    this.unbindAll(exchange);
  }

  bind({ destination, source, routingKey, arguments: args }: BindingDeclaration): void {
    refuseDefault(source);
    if (destination.kind === 'exchange') refuseDefault(destination.name);
    const exchange = this.#find(source);
    const target =
      destination.kind === 'exchange' ? this.#find(destination.name) : this.#queues.get(destination.name);
    if (!target) throw noQueue(destination.name);
    if (exchange.declaration.type === 'headers') checkHeadersBinding(args);
    if (exchange.declaration.type === 'topic') checkTopicKey(routingKey, this.#behaviour.maxHashes);
    exchange.bind({ destination: target, routingKey, arguments: copyTable(args) });
  }

  /** Removes the bindings of a deleted queue or exchange, and auto-delete exchanges that lose their last binding. */
  unbindAll(destination: Destination): void {
    for (const exchange of [...this.#exchanges.values()]) {
      if (!exchange.unbindAll(destination)) continue;
      if (exchange.declaration.autoDelete && !exchange.hasBindings) this.delete(exchange.name);
    }
  }

  /** Throws if a client may not publish to this exchange. */
  checkPublish(name: string): void {
    if (name !== '' && this.#find(name).declaration.internal)
      throw new ServerRefusalError(403, `cannot publish to internal exchange '${name}' in vhost '/'`);
  }

  /** The queues that a message is routed to, each once. None if its exchange does not exist. */
  route(message: StoredMessage): ReadonlySet<AnyQueue> {
    const found = new Set<AnyQueue>();
    if (message.exchange === '') {
      for (const key of message.routingKeys) {
        const queue = this.#queues.get(key);
        if (queue) found.add(queue);
      }
      return found;
    }
    const first = this.#exchanges.get(message.exchange);
    const seen = new Set<MemoryExchange>();
    const open = first ? [first] : [];
    for (let exchange = open.pop(); exchange; exchange = open.pop()) {
      if (seen.has(exchange)) continue;
      seen.add(exchange);
      let matched = false;
      exchange.route(message, (destination) => {
        matched = true;
        if (destination instanceof MemoryExchange) open.push(destination);
        else found.add(destination);
      });
      const alternate =
        matched || exchange.alternate === undefined ? undefined : this.#exchanges.get(exchange.alternate);
      if (alternate) open.push(alternate);
    }
    return found;
  }

  #find(name: string): MemoryExchange {
    const exchange = this.#exchanges.get(name);
    if (!exchange) throw noExchange(name);
    return exchange;
  }
}

function refuseDefault(name: string): void {
  if (name === '') throw new ServerRefusalError(403, 'operation not permitted on the default exchange');
}

function checkTopicKey(key: string, max: number): void {
  const hashes = key.split('.').filter((word) => word === '#').length;
  if (hashes <= max) return;
  const words = `Topic binding key '${key}' uses ${hashes} '#' wildcards, at most ${max} are allowed`;
  throw new ServerRefusalError(406, words);
}

function checkSame(received: ExchangeDeclaration, current: ExchangeDeclaration): void {
  const what = `exchange '${current.name}'`;
  assertEquivalent(what, 'type', received.type, current.type);
  assertEquivalent(what, 'durable', received.durable, current.durable);
  assertEquivalent(what, 'auto_delete', received.autoDelete, current.autoDelete);
  assertEquivalent(what, 'internal', received.internal, current.internal);
  const alternate = 'alternate-exchange';
  assertEquivalent(what, alternate, received.arguments[alternate], current.arguments[alternate]);
}
