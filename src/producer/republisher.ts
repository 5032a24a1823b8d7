import { deadLetterTopologyOf } from '../contracts/topology.js';
import type { QueueContract } from '../contracts/types.js';
import { declarerOf, type Restored } from '../declarations/declarer.js';
import { ConfigurationError, UnroutableError } from '../errors.js';
import { type CopyOptions, type CopySource, deadLetterCopy, retryCopy } from '../messages/copies.js';
import type { Connection } from '../transport/connection/connection.js';
import { type OutgoingMessage, RETURN_ID_HEADER } from '../transport/port.js';
import type { Publisher } from './publisher/publisher.js';

/** The time limit for the confirm of a copy, in milliseconds. */
const TIMEOUT_MS = 30_000;

/** Publishes copies of failed messages, for all consumers of a broker. */
export class Republisher {
  readonly #publisher: Publisher;
  readonly #connection: Connection;
  readonly #onRestored: (restored: Restored) => void;

  /** @param onRestored - a dead-letter queue had disappeared and was declared again */
  constructor(publisher: Publisher, connection: Connection, onRestored: (restored: Restored) => void) {
    this.#publisher = publisher;
    this.#connection = connection;
    this.#onRestored = onRestored;
  }

  /** Resolves when the dead letter is confirmed. Rejects when that is uncertain. */
  async deadLetter(
    message: CopySource,
    contract: QueueContract,
    error: unknown,
    failedAt: Date,
  ): Promise<void> {
    const publish = () =>
      publishCopy(this.#publisher, (options) => deadLetterCopy(message, contract, error, failedAt, options));
    try {
      await publish();
    } catch (reason) {
      const steps = deadLetterTopologyOf(contract);
      if (!(reason instanceof UnroutableError) || steps.length === 0) throw reason;
      // The dead-letter queue was deleted.
      await declarerOf(await this.#connection.link()).declareAll(steps, {
        again: true,
        onRestored: this.#onRestored,
      });
      await publish();
    }
  }

  /**
   * Resolves when the copy for the next attempt is confirmed. Rejects when that is uncertain.
   *
   * @param dueAt - when the copy is to be delivered; undefined: at once
   */
  async retry(message: CopySource, contract: QueueContract, dueAt: number | undefined): Promise<void> {
    await publishCopy(this.#publisher, (options) => retryCopy(message, contract, options), dueAt);
  }
}

/**
 * Publishes a copy of a message, without its sender's headers if they cannot be encoded. Resolves when the copy is confirmed.
 *
 * @param dueAt - when the copy is to be delivered; undefined: at once
 */
export async function publishCopy(
  publisher: Publisher,
  makeCopy: (options: CopyOptions) => OutgoingMessage,
  dueAt?: number,
): Promise<void> {
  const add = async (copy: OutgoingMessage) => {
    const { messageId, headers } = copy.properties;
    const receipt = { messageId: messageId ?? String(headers?.[RETURN_ID_HEADER]) };
    await publisher.add(copy, receipt, { timeoutMs: TIMEOUT_MS, signal: undefined, hasOwnId: true, dueAt });
  };
  try {
    await add(makeCopy({ withoutHeaders: false }));
  } catch (reason) {
    // Another client's headers may contain values that amqplib decodes but cannot encode.
    if (!(reason instanceof ConfigurationError)) throw reason;
    await add(makeCopy({ withoutHeaders: true }));
  }
}
