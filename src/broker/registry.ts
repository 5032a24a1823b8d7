import type { QueueConsumer } from '../consumer/consumer.js';
import { sourcesOf } from '../contracts/topology.js';
import type { QueueContract } from '../contracts/types.js';
import type { RelayHealth } from '../outbox/relay.js';
import type { TableRelay } from '../outbox/table-relay.js';
import type { Producers } from '../producer/producers.js';
import type { BackgroundPublisher } from '../producer/publisher/background-publisher.js';
import type { ConsumerHealth, ProducerHealth } from './health.js';

/** The most failed consumers that are remembered. */
const MAX_FAILED = 100;

/** Every part that works for one broker, and the order in which they close. */
export class Registry {
  readonly #consumers = new Set<QueueConsumer>();
  /** The consumers that were not set up yet. */
  readonly #settingUp = new Set<QueueConsumer>();
  #producers: Producers | undefined;
  /** Closed first: relays only start work. */
  readonly #relays = new Set<TableRelay>();
  /** Closed with the consumers, because nothing else depends on them. */
  readonly #tasks: BackgroundPublisher[] = [];
  /** Closed after the consumers, whose last handlers may still need them. */
  readonly #publishers: BackgroundPublisher[] = [];
  /** Consumers without a loop, weakly held: the program may use them again. */
  #idleConsumers: WeakRef<QueueConsumer>[] = [];
  /** Failed consumers, until another one replaces them. */
  readonly #failed = new Map<string, ConsumerHealth>();
  #isClosing = false;

  /** True once no new work may begin. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  get consumerHealth(): ConsumerHealth[] {
    return [...[...this.#consumers].map((consumer) => consumer.health), ...this.#failed.values()];
  }

  get producerHealth(): ProducerHealth[] {
    return this.#producers?.health ?? [];
  }

  get relayHealth(): RelayHealth[] {
    return [...this.#relays].map((relay) => relay.health);
  }

  addRelay(relay: TableRelay): void {
    if (this.#isClosing) void relay.close({ timeoutMs: 0 });
    else this.#relays.add(relay);
  }

  removeRelay(relay: TableRelay): void {
    this.#relays.delete(relay);
  }

  addPublisher(publisher: BackgroundPublisher): void {
    this.#publishers.push(publisher);
  }

  /** Adds a part that closes with the consumers. */
  addTask<T extends BackgroundPublisher>(task: T): T {
    this.#tasks.push(task);
    return task;
  }

  addProducers(producers: Producers): void {
    this.#producers = producers;
  }

  addConsumer(consumer: QueueConsumer): void {
    this.#consumers.add(consumer);
    if (!consumer.isSetUp) {
      this.#settingUp.add(consumer);
      void consumer.setUp.then(() => this.#settingUp.delete(consumer));
    }
    this.#failed.delete(consumerKey(consumer.contract));
  }

  /** The consumers whose queues get messages of an exchange. */
  consumersOn(exchange: string): readonly QueueConsumer[] {
    // A queue outlives the loop that was left.
    const idle = this.#idleConsumers.map((it) => it.deref()).filter((it) => it !== undefined);
    const lasting = idle.filter(({ contract }) => !contract.autoDelete && !contract.exclusive);
    return [...this.#consumers, ...lasting].filter(({ contract }) => sourcesOf(contract).has(exchange));
  }

  /** Resolves when the earlier consumers on an exchange are set up. Undefined when all are. */
  setUpOn(exchange: string): Promise<void> | undefined {
    if (this.#settingUp.size === 0) return undefined;
    const starting = [...this.#settingUp].filter(({ contract }) => sourcesOf(contract).has(exchange));
    if (starting.length === 0) return undefined;
    return Promise.all(starting.map(({ setUp }) => setUp)).then(() => undefined);
  }

  /** The consumer is closed, or its last loop has left it and may come back. */
  consumerIdle(consumer: QueueConsumer): void {
    this.#consumers.delete(consumer);
    const { state, health } = consumer;
    if (state.status === 'closed' && state.error && !this.#isClosing)
      this.#remember(consumerKey(consumer.contract), { ...health, inFlight: 0 });
    this.#idleConsumers = this.#idleConsumers.filter((idle) => {
      const other = idle.deref();
      return other !== undefined && other !== consumer;
    });
    if (state.status === 'idle') this.#idleConsumers.push(new WeakRef(consumer));
  }

  /** Lets all work finish: relays, consumers, producers and publishers, one after the other. Takes as long as the handlers do. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#failed.clear();
    await Promise.all([...this.#relays].map((relay) => relay.close({ timeoutMs: Number.POSITIVE_INFINITY })));
    const tasksClosed = this.#tasks.map((task) => task.close());
    for (const idle of this.#idleConsumers) void idle.deref()?.close();
    const consumersClosed = [...this.#consumers].map((consumer) =>
      consumer.close({ timeoutMs: Number.POSITIVE_INFINITY }),
    );
    await Promise.all([...tasksClosed, ...consumersClosed]);
    await this.#producers?.close();
    await Promise.all(this.#publishers.map((publisher) => publisher.close()));
  }

  /** Ends everything at once. */
  abort(reason: Error): void {
    for (const relay of this.#relays) relay.abort();
    for (const consumer of this.#consumers) consumer.abort(reason);
    this.#producers?.abort();
    for (const it of [...this.#tasks, ...this.#publishers]) it.abort();
  }

  #remember(key: string, health: ConsumerHealth): void {
    this.#failed.set(key, health);
    const [oldest] = this.#failed.keys();
    if (this.#failed.size > MAX_FAILED && oldest !== undefined) this.#failed.delete(oldest);
  }

  /** Publishes what a resource alarm has held back. */
  flush(): void {
    this.#producers?.flush();
    for (const it of [...this.#tasks, ...this.#publishers]) it.flush();
  }
}

/** Identifies what a consumer serves: its queue, or the bindings where each consumer has a queue of its own. */
function consumerKey({ name, exclusive, bindings }: QueueContract): string {
  if (!exclusive || bindings.length === 0) return name;
  return JSON.stringify(
    bindings.map(({ exchange, routingKey }) => [
      typeof exchange === 'string' ? exchange : exchange.name,
      routingKey,
    ]),
  );
}
