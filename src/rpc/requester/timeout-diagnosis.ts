import { declarerOf } from '../../declarations/declarer.js';
import type { Connection } from '../../transport/connection/connection.js';
import { classify } from '../../transport/failures.js';

/** Finds out why the requests in a queue are not answered, in words for an error. */
export class TimeoutDiagnosis {
  readonly #connection: Connection;
  /** Running inspections by queue: many requests may be late at once. */
  readonly #looks = new Map<string, Promise<string | undefined>>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Resolves with the finding, or undefined if the queue could not be inspected. Never rejects. */
  look(queue: string): Promise<string | undefined> {
    let look = this.#looks.get(queue);
    if (!look) {
      look = this.#look(queue).finally(() => this.#looks.delete(queue));
      this.#looks.set(queue, look);
    }
    return look;
  }

  async #look(queue: string): Promise<string | undefined> {
    const link = this.#connection.current;
    // While a resource alarm stops the server from reading, it would not respond.
    if (!link || link.blocked !== undefined) return undefined;
    try {
      const { messages, consumers } = await declarerOf(link).run((channel) => channel.checkQueue(queue));
      if (consumers === 0) return 'no responder is running, its queue has no consumers';
      return `its queue has ${consumers} consumers, and ${messages} requests wait in it`;
    } catch (error) {
      return classify(error) === 'missing' ? 'its queue was deleted' : undefined;
    }
  }
}
