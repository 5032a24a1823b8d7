import { Broker } from '../index.js';
import {
  DEFAULT_OPTIONS,
  type LeveretModuleOptions,
  type OptionsSource,
  openBroker,
  type ResolvedModuleOptions,
} from './module-options.js';

/** The options of one broker in one application. They keep their defaults if a test has replaced the broker. */
export class BrokerSettings {
  readonly #source: OptionsSource;
  #resolved: ResolvedModuleOptions = DEFAULT_OPTIONS;
  #problem: { readonly error: unknown } | undefined;

  constructor(source: OptionsSource) {
    this.#source = source;
  }

  get name(): string {
    return this.#source.broker;
  }

  get resolved(): ResolvedModuleOptions {
    return this.#resolved;
  }

  /**
   * Creates the broker. With wrong options, the broker never connects: the application can be created, and its start fails
   * with the error, like any other error that keeps Leveret from starting.
   */
  open(options: LeveretModuleOptions): Broker {
    try {
      const { broker, resolved } = openBroker(this.#source, options);
      this.#resolved = resolved;
      return broker;
    } catch (error) {
      this.#problem = { error };
      return new Broker('memory:');
    }
  }

  /** Throws if the options are wrong. */
  check(): void {
    if (this.#problem) throw this.#problem.error;
  }
}
