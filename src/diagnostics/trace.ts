import type { Traced } from './channels.js';
import { sideTable } from './side-table.js';

type Outcome = { readonly result: unknown } | { readonly error: unknown };

/**
 * One trace: five events about one object, in the order that Node's own `tracePromise` keeps.
 *
 * | state   | run               | succeed, fail                                   |
 * |---------|-------------------|-------------------------------------------------|
 * | new     | running → begun   |                                                 |
 * | running |                   | kept until the synchronous part has ended       |
 * | begun   |                   | over: `error` if it failed, `asyncStart`, `asyncEnd` |
 * | over    |                   | nothing: the first outcome counts               |
 */
export class Trace<Payload extends object> {
  readonly #channel: Traced<Payload>;
  readonly #payload: Payload;
  #state: 'new' | 'running' | 'begun' | 'over' = 'new';
  #outcome: Outcome | undefined;

  constructor(channel: Traced<Payload>, payload: Payload) {
    this.#channel = channel;
    this.#payload = payload;
  }

  /**
   * Publishes `start`, runs the synchronous part of the work in the stores that subscribers have bound to it, and publishes
   * `end`.
   */
  run<T>(work: () => T): T {
    const payload = this.#payload;
    this.#state = 'running';
    try {
      return this.#channel.start.runStores(payload, () => {
        const surrounding = sideTable.surroundings.get(payload);
        return surrounding ? surrounding(work) : work();
      });
    } finally {
      this.#channel.end.publish(payload);
      this.#state = 'begun';
      if (this.#outcome) this.#finish(this.#outcome);
    }
  }

  /**
   * Runs the synchronous part of the work as `run` does, and ends with the outcome of its promise. The returned promise
   * settles after the last event.
   *
   * @param resultOf - the result that the payload reports
   */
  follow<T>(work: () => Promise<T>, resultOf?: (value: T) => unknown): Promise<T> {
    return this.run(work).then(
      (value) => {
        this.succeed(resultOf?.(value));
        return value;
      },
      (error: unknown) => {
        this.fail(error);
        throw error;
      },
    );
  }

  /** @param result - the result that the payload reports; undefined: none */
  succeed(result?: unknown): void {
    this.#finish({ result });
  }

  fail(error: unknown): void {
    this.#finish({ error });
  }

  #finish(outcome: Outcome): void {
    if (this.#state === 'over') return;
    this.#outcome ??= outcome;
    if (this.#state !== 'begun') return;
    this.#state = 'over';
    const payload = this.#payload;
    if ('error' in this.#outcome) {
      Object.assign(payload, { error: this.#outcome.error });
      this.#channel.error.publish(payload);
    } else if (this.#outcome.result !== undefined) {
      Object.assign(payload, { result: this.#outcome.result });
    }
    this.#channel.asyncStart.publish(payload);
    this.#channel.asyncEnd.publish(payload);
  }
}
