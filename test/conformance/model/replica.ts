import type { Delivery, Link } from '../../../src/transport/port.js';
import { Peer, type Probe, type Received } from '../port/peer.js';
import type { Target } from '../targets.js';
import { type Command, PREFIX, QUEUES, SLOTS } from './commands.js';

/** A channel that consumes, and what came over it. */
interface Slot {
  probe: Probe | undefined;
  queue: string | undefined;
  tag: string | undefined;
  /** What was delivered and is not settled. */
  unsettled: Received[];
  /** Everything that was ever seen here. */
  readonly seen: string[];
}

/**
 * A client of one broker that does what it is told, and says what came of it: what the broker answers at once, and what
 * can be seen of the broker afterwards. Both are texts in which nothing differs from one run to the next.
 */
export class Replica implements AsyncDisposable {
  readonly #peer: Peer;
  readonly #prefix: string;
  readonly #slots: Slot[] = Array.from({ length: SLOTS }, () => ({
    probe: undefined,
    queue: undefined,
    tag: undefined,
    unsettled: [],
    seen: [],
  }));
  #link: Link | undefined;
  #control: Probe | undefined;
  #watch: Probe | undefined;
  #published = 0;
  #returns: string[] = [];
  readonly #exchanges = new Set<string>();

  /** @param run - the number of the run, which all its names begin with */
  constructor(target: Target, run: number) {
    this.#peer = new Peer(target);
    this.#prefix = `r${run}-`;
  }

  /** Does it, and says how the broker answered. */
  async perform(command: Command): Promise<string> {
    switch (command.do) {
      case 'declare queue': {
        const { queue, args, autoDelete } = command;
        return this.#ask((probe) => probe.queue(this.#name(queue), this.#full(args), { autoDelete }));
      }
      case 'declare exchange': {
        this.#exchanges.add(command.exchange);
        return this.#ask((probe) => probe.exchange(this.#name(command.exchange), command.type));
      }
      case 'bind': {
        const { kind, name, source, key, args } = command;
        const binding = {
          destination: { kind, name: this.#name(name) },
          source: this.#name(source),
          routingKey: key,
          arguments: args,
        };
        return this.#ask((probe) => probe.channel.bind(binding));
      }
      case 'publish':
        return this.#publish(command);
      case 'consume':
        return this.#consume(command);
      case 'cancel': {
        const slot = this.#slot(command.slot);
        const { probe, tag } = slot;
        if (!probe || tag === undefined) return 'nothing to cancel';
        const answer = await this.#answer(probe, probe.channel.cancel(tag));
        slot.tag = undefined;
        return answer;
      }
      case 'ack':
        return this.#settle(command, (probe, tag) => probe.channel.ack(tag, command.multiple));
      case 'nack':
        return this.#settle(command, (probe, tag) => probe.channel.nack(tag, command));
      case 'reject':
        return this.#settle({ ...command, multiple: false }, (probe, tag) =>
          probe.channel.reject(tag, command),
        );
      case 'close channel': {
        const slot = this.#slot(command.slot);
        await slot.probe?.channel.close();
        this.#forget(slot);
        return 'closed';
      }
      case 'purge':
        return this.#ask((probe) => probe.channel.purgeQueue(this.#name(command.queue)));
      case 'delete queue':
        return this.#ask((probe) => probe.channel.deleteQueue(this.#name(command.queue)));
      case 'delete exchange':
        return this.#ask((probe) => probe.channel.deleteExchange(this.#name(command.exchange)));
    }
  }

  /** What can be seen of the broker now. */
  async look(): Promise<string> {
    const lines: string[] = [];
    // An answer comes after everything that was sent before it on its channel.
    for (const [at, slot] of this.#slots.entries()) {
      const { probe } = slot;
      if (probe?.channel.isOpen) await probe.channel.setPrefetch(0).catch(() => undefined);
      if (probe?.error) {
        slot.seen.push(`closed: ${this.#short(await probe.closing())}`);
        this.#forget(slot);
      }
      lines.push(`slot ${at}: ${slot.seen.join(' | ')}`);
    }
    for (const queue of QUEUES) {
      const probe = await this.#open('#watch');
      const found = await probe.channel.checkQueue(this.#name(queue)).then(
        ({ messages, consumers }) => `${messages} ready, ${consumers} consumers`,
        () => 'missing',
      );
      lines.push(`${queue}: ${found}`);
    }
    lines.push(`returned: ${this.#returns.join(' ')}`);
    return lines.join('\n');
  }

  /** Whether a queue has a consumer of this client already. */
  isConsumed(queue: string): boolean {
    return this.#slots.some((slot) => slot.tag !== undefined && slot.queue === queue);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const queue of QUEUES) await this.#ask((probe) => probe.channel.deleteQueue(this.#name(queue)));
    for (const exchange of this.#exchanges)
      await this.#ask((probe) => probe.channel.deleteExchange(this.#name(exchange)));
    await this.#peer[Symbol.asyncDispose]();
  }

  async #publish(command: Command & { readonly do: 'publish' }): Promise<string> {
    const { exchange, key, mandatory, priority, expiration, headers } = command;
    const text = `m${++this.#published}`;
    const probe = await this.#open('#control');
    const before = probe.returns.length;
    const outcome = await probe.publish(exchange === '' ? this.#name(key) : key, text, {
      exchange: exchange === '' ? '' : this.#name(exchange),
      mandatory,
      properties: { priority, expiration, deliveryMode: 2, messageId: text, headers: this.#full(headers) },
    });
    for (const { messageId } of probe.returns.slice(before)) this.#returns.push(String(messageId));
    return outcome === 'lost' ? this.#short(await probe.closing()) : outcome;
  }

  async #consume(command: Command & { readonly do: 'consume' }): Promise<string> {
    const slot = this.#slot(command.slot);
    const { queue, prefetch, noAck, exclusive } = command;
    if (slot.tag !== undefined) return 'consumes already';
    if (this.isConsumed(queue)) return 'has a consumer already';
    slot.probe ??= await this.#peer.channel(await this.#connected());
    const { probe } = slot;
    const options = { noAck, exclusive, arguments: {} };
    const start = async () => {
      await probe.channel.setPrefetch(prefetch);
      slot.queue = queue;
      slot.tag = await probe.channel.consume(this.#name(queue), options, (delivery) =>
        this.#delivered(slot, delivery, noAck),
      );
    };
    return this.#answer(
      probe,
      start().then(() => undefined),
    );
  }

  #delivered(slot: Slot, delivery: Delivery | undefined, noAck: boolean): void {
    if (!delivery) {
      slot.seen.push('cancelled');
      slot.tag = undefined;
      return;
    }
    const received = { ...delivery, text: delivery.content.toString() };
    slot.seen.push(this.#short(describe(received)));
    if (!noAck) slot.unsettled.push(received);
  }

  #settle(
    command: { readonly slot: number; readonly at: number; readonly multiple: boolean },
    settle: (probe: Probe, tag: number) => void,
  ): string {
    const slot = this.#slot(command.slot);
    const { probe, unsettled } = slot;
    if (!probe?.channel.isOpen || unsettled.length === 0) return 'nothing to settle';
    const at = command.at % unsettled.length;
    const { deliveryTag, text } = unsettled[at] as Received;
    unsettled.splice(command.multiple ? 0 : at, command.multiple ? at + 1 : 1);
    settle(probe, deliveryTag);
    return text;
  }

  #forget(slot: Slot): void {
    slot.probe = undefined;
    slot.tag = undefined;
    slot.unsettled = [];
  }

  #slot(at: number): Slot {
    return this.#slots[at] as Slot;
  }

  /** Asks on a channel for everything; opened again when a refusal has closed it. */
  async #ask(request: (probe: Probe) => Promise<unknown>): Promise<string> {
    const probe = await this.#open('#control');
    return this.#answer(probe, request(probe));
  }

  async #answer(probe: Probe, request: Promise<unknown>): Promise<string> {
    const result: { value?: unknown } = {};
    const words = await probe.refusal(
      request.then((value) => {
        result.value = value;
      }),
    );
    return this.#short(words === 'done' && typeof result.value === 'number' ? `${result.value}` : words);
  }

  async #open(which: '#control' | '#watch'): Promise<Probe> {
    const known = which === '#control' ? this.#control : this.#watch;
    if (known?.channel.isOpen) return known;
    const opened = await this.#peer.channel(await this.#connected());
    if (which === '#control') this.#control = opened;
    else this.#watch = opened;
    return opened;
  }

  async #connected(): Promise<Link> {
    if (!this.#link?.isOpen) this.#link = await this.#peer.link();
    return this.#link;
  }

  #name(name: string): string {
    return `${this.#prefix}${name}`;
  }

  /** The same arguments, with the names of this run. */
  #full(args: Readonly<Record<string, unknown>>): Record<string, unknown> {
    const full = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(full);
      return typeof value === 'string' ? value.replace(PREFIX, this.#prefix) : value;
    };
    return Object.fromEntries(Object.entries(args).map(([name, value]) => [name, full(value)]));
  }

  #short(text: string): string {
    return text.replaceAll(this.#prefix, '');
  }
}

/** Everything about a delivery that a client can tell, but when it happened. */
function describe({ text, redelivered, exchange, routingKey, properties }: Received): string {
  const { headers: given, priority, expiration } = properties;
  const { 'x-death': deaths, ...headers } = (given ?? {}) as Record<string, unknown>;
  const rows = (Array.isArray(deaths) ? deaths : []).map((row: Record<string, unknown>) => {
    const { time: _, ...death } = row;
    return sorted(death);
  });
  return [
    text,
    redelivered ? 'again' : '',
    `${exchange}/${routingKey}`,
    sorted({ priority, expiration, ...headers }),
    rows.length > 0 ? `deaths ${rows.join()}` : '',
  ]
    .filter((part) => part !== '' && part !== '{}')
    .join(' ');
}

function sorted(table: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(Object.fromEntries(Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1))));
}
