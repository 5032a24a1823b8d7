import type { PendingSend } from './pending-send.js';

/** A message id that a caller chose, while a message with it is in flight. */
export interface OwnId {
  readonly messageId: string;
}

/**
 * The caller-chosen ids that are in flight. Two messages with the same id could not be told apart when one is returned, so the
 * second waits for the first.
 */
export class IdsInFlight {
  readonly #ids = new Map<string, OwnId>();
  readonly #onReleased: (ownId: OwnId) => void;

  /** @param onReleased - no message with this id is in flight any more */
  constructor(onReleased: (ownId: OwnId) => void) {
    this.#onReleased = onReleased;
  }

  /** The id that the send has to wait for. */
  blocking(pending: PendingSend): OwnId | undefined {
    return pending.hasOwnId ? this.#ids.get(pending.receipt.messageId) : undefined;
  }

  published({ hasOwnId, receipt: { messageId } }: PendingSend): void {
    if (hasOwnId) this.#ids.set(messageId, { messageId });
  }

  confirmed({ hasOwnId, receipt: { messageId } }: PendingSend): void {
    if (hasOwnId) this.#release(messageId);
  }

  /** Nothing is in flight any more. */
  clear(): void {
    for (const messageId of [...this.#ids.keys()]) this.#release(messageId);
  }

  #release(messageId: string): void {
    const ownId = this.#ids.get(messageId);
    this.#ids.delete(messageId);
    if (ownId) this.#onReleased(ownId);
  }
}
