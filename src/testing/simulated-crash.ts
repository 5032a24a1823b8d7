import { isThenable } from '../util/promises.js';

/** The lives of a process that crashes on demand: handlers of an earlier life have no effect any more. */
export class SimulatedCrash {
  #current = 0;
  /** Ends the handlers of this life that run inside a guard. */
  #running = new Set<() => void>();

  /** The process dies, and the next one begins. */
  end(): void {
    this.#current++;
    const running = this.#running;
    this.#running = new Set();
    for (const end of running) end();
  }

  /** Makes a handler fail when its process dies: a transaction around it is rolled back, as the database would do. */
  wrapGuarded<A extends readonly unknown[]>(handler: (...args: A) => unknown): (...args: A) => unknown {
    return (...args) => {
      const result = handler(...args);
      if (!isThenable(result)) return result;
      return new Promise((resolve, reject) => {
        const running = this.#running;
        const end = () => reject(new Error('the process has died'));
        running.add(end);
        const done = (settle: () => void) => {
          running.delete(end);
          settle();
        };
        result.then(
          (value) => done(() => resolve(value)),
          (error: unknown) => done(() => reject(error as Error)),
        );
      });
    };
  }

  /** Makes a handler never finish if its process has died meanwhile. */
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
