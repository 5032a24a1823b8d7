import { type Clock, sleep } from '../util/clock.js';

/** The longest time that one declaration delays others: on a dead or blocked connection, its answer may take much longer. */
const MAX_WAIT_MS = 1_000;

/**
 * Makes the links of one broker declare the same queue one after the other. RabbitMQ answers the second of two declarations
 * of a quorum queue at once, even while the first is still electing a leader. Until there is a leader, the queue refuses
 * every message (`basic.nack`; seen on 3.10.8).
 */
export class QueueDeclarationLock {
  readonly #clock: Clock;
  readonly #last = new Map<string, Promise<unknown>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs the declaration once the earlier ones of the same queue have finished. Settles as it does. */
  run<T>(queue: string, declare: () => Promise<T>): Promise<T> {
    const before = this.#last.get(queue);
    const result = before ? this.#through(before).then(declare) : declare();
    this.#last.set(queue, result);
    const forget = () => {
      if (this.#last.get(queue) === result) this.#last.delete(queue);
    };
    result.then(forget, forget);
    return result;
  }

  async #through(before: Promise<unknown>): Promise<void> {
    const over = new AbortController();
    const settled = () => over.abort();
    before.then(settled, settled);
    await sleep(this.#clock, MAX_WAIT_MS, over.signal);
  }
}
