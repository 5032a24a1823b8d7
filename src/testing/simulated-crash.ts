import { isThenable } from '../contracts/body/schema.js';

/** The lives of a process that crashes on demand: what belongs to an earlier one has no effect any more. */
export class SimulatedCrash {
  #current = 0;

  /** The process dies, and the next one begins. */
  end(): void {
    this.#current++;
  }

  /** A handler that never ends when its process has died meanwhile. */
  wrap<A extends readonly unknown[]>(handler: (...args: A) => unknown): (...args: A) => unknown {
    return (...args) => {
      const life = this.#current;
      const result = handler(...args);
      if (!isThenable(result)) return result;
      return new Promise((resolve, reject) => {
        const ifAlive = (settle: () => void) => {
          if (life === this.#current) settle();
        };
        result.then(
          (value) => ifAlive(() => resolve(value)),
          (error: unknown) => ifAlive(() => reject(error as Error)),
        );
      });
    };
  }
}
