import { Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { ConfigurationError, type Consumer, type Responder } from '../index.js';
import type { BrokerHost } from './broker-host.js';
import { EnhancerFactory } from './enhancers.js';
import { type FoundHandler, findHandlers, removeFromControllers } from './handler-discovery.js';
import { checkHandlerOptions, namingClass } from './handler-options.js';
import { HandlerRunner } from './handler-runner.js';

/** A permanent failure. */
export interface Failure {
  /** The name of the class, or of the broker. */
  readonly who: string;
  readonly error: unknown;
}

/**
 * The life of all brokers of one application, in step with its own.
 *
 * | phase      | connect    | consume   | drain    | close                    |
 * |------------|------------|-----------|----------|--------------------------|
 * | created    | connecting |           | draining | draining, then closed    |
 * | connecting |            | consuming | draining | draining, then closed    |
 * | consuming  |            |           | draining | draining, then closed    |
 * | draining   |            |           |          | closed                   |
 * | closed     |            |           |          |                          |
 *
 * An empty cell does nothing, or waits for what was begun: Nest 11 goes on with a start while it closes, and closes twice when
 * it is asked twice.
 */
export class LeveretRuntime implements OnModuleInit, OnApplicationShutdown {
  readonly #modules: ModulesContainer;
  readonly #config: ApplicationConfig;
  readonly #logger = new Logger('Leveret');
  readonly #misplaced: ConfigurationError | undefined;
  readonly #hosts: BrokerHost[] = [];
  readonly #failures: Failure[] = [];
  #handlers: readonly FoundHandler[] = [];
  #phase: 'created' | 'connecting' | 'consuming' | 'draining' | 'closed' = 'created';
  #draining: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(modules: ModulesContainer, config: ApplicationConfig) {
    this.#modules = modules;
    this.#config = config;
    this.#misplaced = removeFromControllers(modules);
  }

  get hosts(): readonly BrokerHost[] {
    return this.#hosts;
  }

  get failures(): readonly Failure[] {
    return this.#failures;
  }

  add(host: BrokerHost): BrokerHost {
    this.#hosts.push(host);
    return host;
  }

  /** Checks everything, connects, and declares the contracts of the features. */
  async onModuleInit(): Promise<void> {
    if (this.#phase !== 'created') return;
    this.#phase = 'connecting';
    await this.#orClose(async () => {
      this.#check();
      await Promise.all(this.#hosts.map((host) => this.#connect(host)));
    });
  }

  /** Starts the consumers and responders, and waits until the server delivers to them. */
  async consume(): Promise<void> {
    if (this.#phase !== 'connecting') return;
    await this.#orClose(async () => {
      const runners = await Promise.all(this.#handlers.map((found) => this.#prepare(found)));
      if (this.#phase !== 'connecting') return;
      this.#phase = 'consuming';
      await Promise.all(runners.map(({ found, runner }) => this.#start(found, runner)));
    });
  }

  /** Stops the consumers and responders; no handler runs after it. */
  drain(): Promise<void> {
    if (this.#phase !== 'closed') this.#phase = 'draining';
    this.#draining ??= this.#forAll((host) => host.drain());
    return this.#draining;
  }

  /** Closes the brokers. */
  onApplicationShutdown(): Promise<void> {
    this.#closing ??= this.drain().then(async () => {
      this.#phase = 'closed';
      await this.#forAll((host) => host.close());
    });
    return this.#closing;
  }

  #check(): void {
    const names = this.#hosts.map(({ name }) => name);
    const duplicate = names.find((name, at) => names.indexOf(name) !== at);
    if (duplicate !== undefined) {
      throw new ConfigurationError(
        'broker',
        `LeveretModule: there are two brokers '${duplicate}'. Give one of them a name of its own, in 'broker'`,
      );
    }
    for (const host of this.#hosts) host.check();
    if (this.#misplaced) throw this.#misplaced;
    this.#handlers = findHandlers(this.#modules, names);
  }

  async #connect(host: BrokerHost): Promise<void> {
    const connected = host.connect();
    if (host.options.wait) return await connected;
    connected.catch((error: unknown) => this.#failed(`The broker '${host.name}'`, error));
  }

  async #prepare(
    found: FoundHandler,
  ): Promise<{ readonly found: FoundHandler; readonly runner: HandlerRunner }> {
    const inherits = this.#hostOf(found).options.inheritAppConfig;
    const enhancers = new EnhancerFactory(this.#modules, inherits ? this.#config : undefined);
    const runner = new HandlerRunner(found, enhancers);
    await runner.prepare();
    return { found, runner };
  }

  async #start(found: FoundHandler, runner: HandlerRunner): Promise<void> {
    const { className } = found;
    const host = this.#hostOf(found);
    const running = open(host, found, runner);
    host.add(running);
    if (host.options.wait) await running.ready;
    // `closed` reports the reason, too.
    else running.ready.catch(() => undefined);
    void running.closed.then((error) => {
      if (error) this.#failed(className, error);
    });
  }

  #hostOf({ definition }: FoundHandler): BrokerHost {
    const host = this.#hosts.find(({ name }) => name === definition.broker);
    if (!host) throw new ConfigurationError('broker', `there is no broker '${definition.broker}'`);
    return host;
  }

  #failed(who: string, error: unknown): void {
    if (this.#phase === 'draining' || this.#phase === 'closed') return;
    this.#markKnown(error);
    this.#failures.push({ who, error });
    const { stack } = error as { readonly stack?: string };
    this.#logger.error(`${who} has failed: ${error instanceof Error ? error.message : String(error)}`, stack);
  }

  #markKnown(error: unknown): void {
    for (const host of this.#hosts) host.markKnown(error);
  }

  /** Runs the work; if it fails, closes everything that was opened first. */
  async #orClose(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#markKnown(error);
      await this.onApplicationShutdown();
      throw error;
    }
  }

  async #forAll(action: (host: BrokerHost) => Promise<void>): Promise<void> {
    await Promise.all(this.#hosts.map(action));
  }
}

function open(
  { broker }: BrokerHost,
  { className, definition }: FoundHandler,
  runner: HandlerRunner,
): Consumer | Responder {
  try {
    checkHandlerOptions(definition);
    return definition.kind === 'consumer'
      ? broker.consumer(definition.contract, runner.handle, definition.options)
      : broker.responder(definition.contract, runner.handle, definition.options);
  } catch (error) {
    throw namingClass(className, error);
  }
}
