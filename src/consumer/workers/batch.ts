import type { RunTrace } from '../../diagnostics/consume.js';
import type { Deadlined } from '../../util/deadlines.js';
import type { ReceivedMessage } from '../delivery/message.js';
import type { BatchContext } from '../options/batch-options.js';
import type { Session } from '../session/session.js';
import type { Runnable } from './runner.js';

/** The messages of one run of the handler. All come from one session. */
export class Batch implements BatchContext, Runnable {
  readonly messages: readonly ReceivedMessage[];
  /** The trace of the handler's run, if it has a subscriber. */
  run: RunTrace | undefined;
  bucket: Deadlined['bucket'];
  slot = 0;
  listSlot = -1;
  readonly #controller = new AbortController();

  constructor(messages: readonly ReceivedMessage[]) {
    this.messages = messages;
  }

  get session(): Session | undefined {
    return this.messages[0]?.session;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: Error): void {
    if (!this.signal.aborted) this.#controller.abort(reason);
    for (const message of this.messages) message.abort(reason);
  }
}
