import type { ReceivedMessage } from '../consumer/delivery/message.js';
import { ValidationError } from '../errors.js';
import { type Events, reportDatabase } from '../event-emitter.js';
import { Obstacle } from '../util/obstacle.js';
import { type IdempotencyKey, keyOf } from './message-key.js';

export interface GuardReportsSettings {
  readonly queue: string;
  readonly idempotencyKey: IdempotencyKey | undefined;
  readonly events: Events;
}

/** The reports of a guard: its duplicates, messages without a usable id, and what keeps it from its database. */
export class GuardReports {
  readonly #settings: GuardReportsSettings;
  #duplicates = 0;
  #hasReportedNoId = false;
  /** Reported while the database cannot be reached. */
  readonly obstacle: Obstacle;

  /** @param database - names the database in a sentence: 'its idempotency store' */
  constructor(settings: GuardReportsSettings, database: string) {
    this.#settings = settings;
    const part = `the consumer of the queue '${settings.queue}'`;
    this.obstacle = new Obstacle((reason) => reportDatabase(settings.events, part, database, reason));
  }

  /** Messages that were already handled. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /**
   * The id that identifies the message. Undefined if it has none, which is reported once. False for an id that cannot be
   * stored: the message is then dead-lettered. Throws what the user's function throws.
   */
  idOf(message: ReceivedMessage): string | undefined | false {
    const { queue, idempotencyKey, events } = this.#settings;
    const id = keyOf(queue, message, idempotencyKey);
    if (id instanceof ValidationError) {
      message.settle({ kind: 'dead-letter', error: id });
      return false;
    }
    if (id === undefined && !this.#hasReportedNoId) {
      this.#hasReportedNoId = true;
      events.emit('no-message-id', { queue });
    }
    return id;
  }

  /** Counts, acknowledges and reports a message that was already handled. */
  duplicate(message: ReceivedMessage): void {
    const { queue, events } = this.#settings;
    this.#duplicates++;
    message.settle({ kind: 'ack', isDuplicate: true });
    events.emit('duplicate', { queue, messageId: message.id });
  }
}
