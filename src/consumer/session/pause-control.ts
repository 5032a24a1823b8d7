import { isSingleActive } from '../../contracts/guards.js';
import type { QueueContract } from '../../contracts/queue.js';
import type { TransportError } from '../../transport/port.js';
import type { ConsumerState } from '../consumer-state.js';
import type { MessagePipeline } from '../pipeline.js';
import type { Session } from './session.js';

/**
 * What a pause does with the messages that nobody has looked at.
 *
 * - `give-back`: they go back at once, for other consumers.
 * - `keep`: they wait here, since the queue would go with its last consumer, and they with it.
 * - `pass-on`: the queue has a single active consumer. They wait until running handlers have ended; then the channel is closed,
 *   and the queue passes to the next consumer with all of them, in order.
 */
export type PauseStyle = 'give-back' | 'keep' | 'pass-on';

/** How a consumer of this queue is to pause. */
export function pauseStyleOf(contract: QueueContract, noAck: boolean): PauseStyle {
  if (isSingleActive(contract)) return 'pass-on';
  // Without acknowledgements nothing bounds what would have to wait here.
  return contract.autoDelete && !noAck ? 'keep' : 'give-back';
}

/** Makes the session deliver, or not, as the state of the consumer says. One command at a time: each takes a round trip. */
export class PauseControl {
  readonly #pipeline: MessagePipeline;
  readonly #current: () => { readonly session: Session | undefined; readonly state: ConsumerState };
  readonly #style: PauseStyle;
  #commands: Promise<void> = Promise.resolve();

  constructor(
    pipeline: MessagePipeline,
    style: PauseStyle,
    current: () => { readonly session: Session | undefined; readonly state: ConsumerState },
  ) {
    this.#pipeline = pipeline;
    this.#style = style;
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
      if (this.#is('running')) {
        session.stay();
        if (!session.isConsuming) await session.resume();
      }
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
    if (this.#style !== 'give-back') this.#pipeline.hold();
    if (this.#style === 'keep') return;
    if (this.#style === 'give-back') {
      if (session.isConsuming) await session.pause();
      if (this.#is('paused')) this.#pipeline.giveBackUnseen();
      return;
    }
    if (!session.isConsuming) return;
    session.leave();
    const passedOn = this.#passOn(session);
    // A handler that waits for the pause must not wait for itself.
    if (this.#pipeline.inFlight === 0) await passedOn;
  }

  /** Unless it is resumed before: the next session begins paused. */
  async #passOn(session: Session): Promise<void> {
    await this.#pipeline.quiet();
    const { session: current } = this.#current();
    if (current === session && this.#is('paused')) await session.close();
  }

  #is(status: ConsumerState['status']): boolean {
    return this.#current().state.status === status;
  }
}
