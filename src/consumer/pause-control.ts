import { isSingleActive } from '../contracts/guards.js';
import type { QueueContract } from '../contracts/types.js';
import type { TransportError } from '../transport/port.js';
import { Serial } from '../util/serial.js';
import type { ConsumerState } from './consumer-state.js';
import type { MessagePipeline } from './pipeline.js';
import type { Session } from './session/session.js';

/**
 * A pause treats the messages that no handler has seen in one of these ways:
 * - `give-back`: they are requeued at once, for other consumers.
 * - `keep`: they wait here, because the queue would be deleted with its last consumer, and the messages with it.
 * - `pass-on`: the queue has a single active consumer. They wait until the running handlers have finished; then the channel
 * is closed, and the queue passes to the next consumer with all of them, in order.
 */
export type PauseStyle = 'give-back' | 'keep' | 'pass-on';

/** The way in which a consumer of this queue pauses. */
export function pauseStyleOf(contract: QueueContract, noAck: boolean): PauseStyle {
  if (isSingleActive(contract)) return 'pass-on';
  // Without acknowledgements, nothing bounds what would have to wait here.
  return contract.autoDelete && !noAck ? 'keep' : 'give-back';
}

/**
 * Starts or stops the session's deliveries to match the state of the consumer. One command at a time: each takes a round
 * trip.
 */
export class PauseControl {
  readonly #pipeline: MessagePipeline;
  readonly #current: () => { readonly session: Session | undefined; readonly state: ConsumerState };
  readonly #style: PauseStyle;
  readonly #commands = new Serial();

  constructor(
    pipeline: MessagePipeline,
    style: PauseStyle,
    current: () => { readonly session: Session | undefined; readonly state: ConsumerState },
  ) {
    this.#pipeline = pipeline;
    this.#style = style;
    this.#current = current;
  }

  /** Applies the current state. Resolves when that is done, or when the session is lost. Never rejects. */
  reconcile(): Promise<void> {
    return this.#commands.run(() => this.#reconcile());
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
        this.#pipeline.resumeTaking();
        // Messages that arrived during the pause may wait here, and perhaps no later delivery comes to start them.
        this.#pipeline.fill();
      }
    } catch (error) {
      // The next session applies the state.
      session.end(error as TransportError);
    }
  }

  async #pause(session: Session): Promise<void> {
    if (this.#style !== 'give-back') this.#pipeline.stopTaking();
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

  /** Passes the queue on, unless the consumer is resumed before: the next session begins paused. */
  async #passOn(session: Session): Promise<void> {
    await this.#pipeline.quiet();
    const { session: current } = this.#current();
    if (current === session && this.#is('paused')) await session.close();
  }

  #is(status: ConsumerState['status']): boolean {
    return this.#current().state.status === status;
  }
}
