import { TimeoutError } from '../../errors.js';
import type { Clock } from '../../util/clock.js';
import { Deadlines } from '../../util/deadlines.js';
import type { ReceivedMessage } from '../delivery/message.js';
import type { Session } from '../session/session.js';

export interface InOrderValidationSettings {
  readonly clock: Clock;
  /** How long an asynchronous schema may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Decodes and validates; false when the message is already settled. */
  readonly admit: (message: ReceivedMessage) => boolean | Promise<boolean>;
  /** The message is decoded, and every earlier one is decoded or settled. */
  readonly onAdmitted: (message: ReceivedMessage) => void;
  /** The schema took too long. */
  readonly onFailed: (message: ReceivedMessage, error: unknown) => void;
}

type Fate = 'checking' | 'admitted' | 'out';

/**
 * Validates messages ahead of their turn and passes them on in the order of their arrival, however long the schema takes for
 * each.
 */
export class InOrderValidation {
  readonly #settings: InOrderValidationSettings;
  readonly #deadlines: Deadlines<ReceivedMessage>;
  /** In order of arrival; empty as long as the schema is synchronous. */
  readonly #line = new Map<ReceivedMessage, Fate>();

  constructor(settings: InOrderValidationSettings) {
    this.#settings = settings;
    this.#deadlines = new Deadlines(settings.clock, (message) => {
      const error = new TimeoutError(`The schema did not finish within ${settings.timeoutMs} ms`);
      settings.onFailed(message, error);
      this.#decide(message, 'out');
    });
  }

  /** The number of messages that are not passed on yet. */
  get length(): number {
    return this.#line.size;
  }

  add(message: ReceivedMessage): void {
    const { admit, clock, timeoutMs } = this.#settings;
    const admitted = admit(message);
    if (admitted === false) return;
    if (admitted === true && this.#line.size === 0) {
      this.#settings.onAdmitted(message);
      return;
    }
    this.#line.set(message, admitted === true ? 'admitted' : 'checking');
    if (admitted === true) return;
    this.#deadlines.add(message, clock.now() + timeoutMs);
    void admitted.then((isValid) => this.#decide(message, isValid ? 'admitted' : 'out'));
  }

  /** Discards the messages of a session that is lost: the server redelivers them. */
  dropSession(session: Session): void {
    for (const message of [...this.#line.keys()])
      if (message.session === session) this.#decide(message, 'out');
  }

  /** Removes all messages and returns them in order, to be taken elsewhere. */
  drain(): ReceivedMessage[] {
    const messages = [...this.#line.keys()];
    for (const message of messages) this.#deadlines.remove(message);
    this.#line.clear();
    return messages.filter((message) => !message.hasVerdict);
  }

  clear(): void {
    this.#line.clear();
    this.#deadlines.clear();
  }

  #decide(message: ReceivedMessage, fate: Fate): void {
    if (!this.#line.has(message)) return;
    this.#deadlines.remove(message);
    this.#line.set(message, fate);
    for (const [next, its] of this.#line) {
      if (its === 'checking') break;
      this.#line.delete(next);
      if (its === 'admitted') this.#settings.onAdmitted(next);
    }
  }
}
