import { Broker } from '../index.js';
import {
  DEFAULT_OPTIONS,
  type LeveretModuleOptions,
  openBroker,
  type ResolvedModuleOptions,
} from './module-options.js';

/** The options of one broker in one application. They stay at their defaults where a test has put another broker in its place. */
export class BrokerSettings {
  readonly name: string;
  #resolved: ResolvedModuleOptions = DEFAULT_OPTIONS;
  #problem: { readonly error: unknown } | undefined;

  constructor(name: string) {
    this.name = name;
  }

  get resolved(): ResolvedModuleOptions {
    return this.#resolved;
  }

  /**
   * Makes the broker. With wrong options, one that is never connected: the application can be created, and its start fails
   * with the error, as it does for all else that keeps Leveret from starting.
   */
  open(options: LeveretModuleOptions): Broker {
    try {
      const { broker, resolved } = openBroker(this.name, options);
      this.#resolved = resolved;
      return broker;
    } catch (error) {
      this.#problem = { error };
      return new Broker('memory:');
    }
  }

  /** Throws what is wrong with the options. */
  check(): void {
    if (this.#problem) throw this.#problem.error;
  }
}
