import type {
  Broker,
  Consumer,
  ExchangeContract,
  ProcedureContract,
  Producer,
  QueueContract,
  Responder,
} from '../index.js';
import type { BrokerSettings } from './broker-settings.js';
import { FailureLog } from './failure-log.js';
import type { ResolvedModuleOptions } from './module-options.js';
import { TimeBudget } from './time-budget.js';
import type { FeatureContract, Requester } from './types.js';

/**
 * One broker of one application, with everything that is created on it: the producers, the requesters, and the consumers and
 * responders.
 */
export class BrokerHost {
  readonly broker: Broker;
  readonly #settings: BrokerSettings;
  readonly #topology = new Set<QueueContract | ExchangeContract>();
  readonly #producers = new Map<
    QueueContract | ExchangeContract,
    Producer<QueueContract | ExchangeContract>
  >();
  readonly #requesters = new Map<ProcedureContract, Requester>();
  readonly #running: (Consumer | Responder)[] = [];
  readonly #failureLog = new FailureLog();
  #budget: TimeBudget | undefined;

  constructor(settings: BrokerSettings, broker: Broker) {
    this.broker = broker;
    this.#settings = settings;
  }

  get name(): string {
    return this.#settings.name;
  }

  get options(): ResolvedModuleOptions {
    return this.#settings.resolved;
  }

  /** Registers queues and exchanges to declare at the start. The queue of a procedure is declared by its responder. */
  feature(contracts: readonly FeatureContract[]): void {
    for (const contract of contracts) if (contract.kind !== 'procedure') this.#topology.add(contract);
  }

  /** The one producer of this contract. */
  producer(contract: QueueContract | ExchangeContract): Producer<QueueContract | ExchangeContract> {
    const producer = this.#producers.get(contract) ?? this.broker.producer(contract);
    this.#producers.set(contract, producer);
    return producer;
  }

  /** The one requester of this procedure. */
  requester(procedure: ProcedureContract): Requester {
    const requester = this.#requesters.get(procedure) ?? {
      request: (body, options) => this.broker.request(procedure, body, options),
    };
    this.#requesters.set(procedure, requester);
    return requester;
  }

  /** Throws if the options are wrong. */
  check(): void {
    this.#settings.check();
  }

  /** Connects, and declares what {@link BrokerHost.feature} registered. */
  async connect(): Promise<void> {
    this.#failureLog.attach(this.broker, this.options.logs);
    await this.broker.connect();
    if (this.#topology.size > 0) await this.broker.declare(...this.#topology);
  }

  /** Marks the error of a consumer or a responder as logged or thrown elsewhere. */
  markKnown(error: unknown): void {
    this.#failureLog.markKnown(error);
  }

  /** Registers it to be closed by {@link BrokerHost.drain}. */
  add(running: Consumer | Responder): void {
    this.#running.push(running);
  }

  /** Stops the consumers and responders, and waits for their running handlers. */
  async drain(): Promise<void> {
    await this.#spend((timeoutMs) => Promise.all(this.#running.map((it) => it.close({ timeoutMs }))));
  }

  /** Closes the broker within the time that {@link BrokerHost.drain} has left. */
  async close(): Promise<void> {
    await this.#spend((timeoutMs) => this.broker.close({ timeoutMs }));
    this.#failureLog.detach();
  }

  #spend(wait: (timeoutMs: number) => Promise<unknown>): Promise<unknown> {
    this.#budget ??= new TimeBudget(this.options.shutdownTimeoutMs);
    return this.#budget.spend(wait);
  }
}
