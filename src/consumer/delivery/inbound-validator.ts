import { receiveBody } from '../../contracts/body/body.js';
import type { Validation } from '../../contracts/body/validate.js';
import type { QueueContract } from '../../contracts/types.js';
import { type Issue, ValidationError } from '../../errors.js';
import type { Events } from '../../event-emitter.js';
import { isThenable } from '../../util/promises.js';
import type { DuplicateFilter } from './duplicate-filter.js';
import type { ReceivedMessage } from './message.js';

export interface InboundValidatorSettings {
  readonly contract: QueueContract;
  readonly duplicates: DuplicateFilter;
  readonly maxBodyBytes: number;
  readonly events: Events;
}

/** Admits messages that a handler may see: decoded, valid, and not handled before. Settles the others. */
export class InboundValidator {
  readonly counts = { invalid: 0, recognised: 0 };
  readonly #settings: InboundValidatorSettings;

  constructor(settings: InboundValidatorSettings) {
    this.#settings = settings;
  }

  /**
   * Returns true when the message has its body, and false when it is already settled. A promise only if the schema is
   * asynchronous.
   */
  admit(message: ReceivedMessage): boolean | Promise<boolean> {
    const { duplicates, maxBodyBytes, contract } = this.#settings;
    const { problem } = message.delivery;
    if (problem !== undefined) return this.#refuse(message, [{ message: problem, path: [] }]);
    if (duplicates.recognises(message.delivery)) {
      this.counts.recognised++;
      message.settle({ kind: 'ack' });
      return false;
    }
    const decoded = receiveBody(contract, message.delivery, maxBodyBytes);
    return isThenable(decoded)
      ? decoded.then((it) => this.#admitDecoded(message, it))
      : this.#admitDecoded(message, decoded);
  }

  #admitDecoded(message: ReceivedMessage, decoded: Validation<unknown>): boolean {
    if (!decoded.ok) return this.#refuse(message, decoded.issues);
    message.body = decoded.value;
    return true;
  }

  #refuse(message: ReceivedMessage, issues: readonly Issue[]): false {
    const { contract, events } = this.#settings;
    this.counts.invalid++;
    events.emit('invalid-message', { queue: contract.name, messageId: message.id, issues });
    message.settle({
      kind: 'dead-letter',
      error: new ValidationError(`the queue '${contract.name}'`, issues),
    });
    return false;
  }
}
