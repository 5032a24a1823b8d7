import type { Contract } from '../../contracts/types.js';
import { declarerOf } from '../../declarations/declarer.js';
import { delayQueueName } from '../../delay/topology.js';
import type { Connection } from '../../transport/connection/connection.js';
import { type Clock, sleep } from '../../util/clock.js';
import type { PendingSend } from './pending-send.js';

/** How often a refused message is sent again, and the pause before the first time, which doubles each time. */
const MAX_ATTEMPTS = 6;
const FIRST_PAUSE_MS = 25;

/** The arguments that limit a queue's length. */
const LIMITS = ['x-max-length', 'x-max-length-bytes'];

export interface RefusalPauseSettings {
  readonly contract: Contract | undefined;
  readonly connection: Connection;
  readonly clock: Clock;
  /** Stops all waiting when it aborts. */
  readonly signal: AbortSignal;
  /** The pause of a queue is over: the messages set aside may be sent again. */
  readonly onOver: (queue: string) => void;
  /** The queue is full, as the count of its messages shows. */
  readonly onFull: (queue: string) => void;
}

/** The state of a queue that has refused a message. */
interface Refusing {
  status: 'asking' | 'pausing' | 'trying' | 'full';
  /** How often in a row the queue has refused. */
  attempts: number;
}

/**
 * Tells a queue that is full from one that cannot take anything yet. A quorum queue without a leader, such as one that was
 * declared a moment ago, refuses whatever a channel publishes to it first (`rabbit_fifo_client:enqueue/4`, seen on 3.10 and 4.0):
 * what it has refused is sent again after a pause. A queue that has taken a message of this channel, or holds messages, has a
 * leader: it refuses because it is full, and goes on to until there is room.
 *
 * | state   | refused                    | messages seen | none seen | pause over | accepted | channel opened |
 * |---------|----------------------------|---------------|-----------|------------|----------|----------------|
 * | (none)  | asking; taken before: full |               |           |            |          |                |
 * | asking  |                            | full          | pausing   |            | (none)   |                |
 * | pausing |                            |               |           | trying     | (none)   |                |
 * | trying  | pausing; too often: full   |               |           |            | (none)   |                |
 * | full    |                            |               |           |            | (none)   | (none)         |
 *
 * Only the messages for this queue wait meanwhile.
 */
export class RefusalPause {
  readonly #settings: RefusalPauseSettings;
  readonly #refusing = new Map<string, Refusing>();
  /** The contract's queue has accepted a message of this channel. */
  #hasTaken = false;

  constructor(settings: RefusalPauseSettings) {
    this.#settings = settings;
  }

  /** The queue for which this message has to wait, if any. */
  heldFor(pending: PendingSend): string | undefined {
    if (this.#refusing.size === 0) return undefined;
    const queue = takerOf(pending);
    const status = queue === undefined ? undefined : this.#refusing.get(queue)?.status;
    return status === 'asking' || status === 'pausing' ? queue : undefined;
  }

  /** A queue accepted the message. */
  accepted(pending: PendingSend): void {
    if (!pending.delay) this.#hasTaken = true;
    if (this.#refusing.size === 0) return;
    const queue = takerOf(pending);
    if (queue !== undefined) this.#refusing.delete(queue);
  }

  /** A channel was opened, or the queue declared again: what was known about full queues, and about leaders, is out of date. */
  reset(): void {
    this.#hasTaken = false;
    for (const [queue, { status }] of this.#refusing) if (status === 'full') this.#refusing.delete(queue);
  }

  /** A queue refused the message. Returns the queue for which the message has to wait; undefined: the message has failed. */
  refused(pending: PendingSend): string | undefined {
    const queue = takerOf(pending);
    if (queue === undefined || (!pending.delay && this.#isFinal(queue))) return undefined;
    pending.wasRefused = true;
    const known = this.#refusing.get(queue);
    if (!known) {
      const refusing: Refusing = { status: 'asking', attempts: 1 };
      this.#refusing.set(queue, refusing);
      void this.#ask(queue, refusing);
    } else if (known.status === 'trying') {
      known.attempts++;
      if (known.attempts > MAX_ATTEMPTS) known.status = 'full';
      else void this.#pause(queue, known);
    }
    return this.#refusing.get(queue)?.status === 'full' ? undefined : queue;
  }

  /** True if only a full queue can have refused. */
  #isFinal(queue: string): boolean {
    const { contract } = this.#settings;
    if (!contract) return false;
    if (contract.kind === 'exchange' || contract.declare !== true) return true;
    return this.#hasTaken || (contract.name === queue && LIMITS.some((it) => it in contract.arguments));
  }

  async #ask(queue: string, refusing: Refusing): Promise<void> {
    const messages = await this.#messagesIn(queue);
    if (this.#refusing.get(queue) !== refusing) return this.#settings.onOver(queue);
    if (messages === 0) return this.#pause(queue, refusing);
    refusing.status = 'full';
    this.#settings.onFull(queue);
  }

  async #messagesIn(queue: string): Promise<number> {
    const link = this.#settings.connection.current;
    if (!link) return 0;
    try {
      return (await declarerOf(link).run((channel) => channel.checkQueue(queue))).messages;
    } catch {
      // The queue is gone or may not be inspected, or the connection is lost: sending again will show.
      return 0;
    }
  }

  async #pause(queue: string, refusing: Refusing): Promise<void> {
    refusing.status = 'pausing';
    const { clock, signal, onOver } = this.#settings;
    await sleep(clock, FIRST_PAUSE_MS * 2 ** (refusing.attempts - 1), signal);
    if (refusing.status === 'pausing') refusing.status = 'trying';
    onOver(queue);
  }
}

/** The queue that has to accept a message: its own, or the delay queue. Undefined where an exchange decides. */
function takerOf({ message, delay }: PendingSend): string | undefined {
  if (delay) return delayQueueName(delay.units, delay.priorities);
  return message.exchange === '' ? message.routingKey : undefined;
}
