import type { RunTrace } from '../../diagnostics/consume.js';
import type { Deadlined } from '../../util/deadlines.js';
import type { ReceivedMessage } from '../delivery/message.js';

/** What a handler of batches gets beside the messages. */
export interface BatchContext {
  /**
   * Aborts when there is no more use in going on: the deliveries are lost (the server gives the messages to somebody again),
   * the handler's time is over, or the consumer is closed and its deadline has passed.
   */
  readonly signal: AbortSignal;
}

/** The messages that one run of the handler gets. All come from one session. */
export class Batch implements BatchContext, Deadlined {
  readonly messages: readonly ReceivedMessage[];
  /** The run of the handler, while somebody listens to it. */
  run: RunTrace | undefined;
  bucket: Deadlined['bucket'];
  slot = 0;
  readonly #controller = new AbortController();

  constructor(messages: readonly ReceivedMessage[]) {
    this.messages = messages;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: Error): void {
    if (!this.signal.aborted) this.#controller.abort(reason);
    for (const message of this.messages) message.abort(reason);
  }
}
