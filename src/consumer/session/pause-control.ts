import type { TransportError } from '../../transport/port.js';
import type { ConsumerState } from '../consumer-state.js';
import type { MessagePipeline } from '../pipeline.js';
import type { Session } from './session.js';

/** Makes the session deliver, or not, as the state of the consumer says. One command at a time: each takes a round trip. */
export class PauseControl {
  readonly #pipeline: MessagePipeline;
  readonly #current: () => { readonly session: Session | undefined; readonly state: ConsumerState };
  readonly #keepsConsuming: boolean;
  #commands: Promise<void> = Promise.resolve();

  /** @param keepsConsuming - a pause holds the messages here: the queue would go with its last consumer, and they with it */
  constructor(
    pipeline: MessagePipeline,
    keepsConsuming: boolean,
    current: () => { readonly session: Session | undefined; readonly state: ConsumerState },
  ) {
    this.#pipeline = pipeline;
    this.#keepsConsuming = keepsConsuming;
    this.#current = current;
  }

  /** Does what the state now asks for. Resolves when that is done, or given up with the session. */
  reconcile(): Promise<void> {
    this.#commands = this.#commands.then(() => this.#reconcile());
    return this.#commands;
  }

  async #reconcile(): Promise<void> {
    const { session } = this.#current();
    if (!session?.isLive) return;
    try {
      if (this.#is('running') && !session.isConsuming) await session.resume();
      if (this.#is('paused')) await this.#pause(session);
      if (this.#is('running')) {
        this.#pipeline.release();
        // What came while it was paused, and was not given back before it went on: nothing else may ever come.
        this.#pipeline.fill();
      }
    } catch (error) {
      // Started again, it does what the state says.
      session.end(error as TransportError);
    }
  }

  async #pause(session: Session): Promise<void> {
    if (this.#keepsConsuming) {
      this.#pipeline.hold();
      return;
    }
    if (session.isConsuming) await session.pause();
    if (this.#is('paused')) this.#pipeline.giveBackUnseen();
  }

  #is(status: ConsumerState['status']): boolean {
    return this.#current().state.status === status;
  }
}
