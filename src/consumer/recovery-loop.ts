import { isSingleActive } from '../contracts/guards.js';
import { consumedTopologyOf } from '../contracts/topology.js';
import type { QueueContract } from '../contracts/types.js';
import { declarerOf, type Restored } from '../declarations/declarer.js';
import { ClosedError, ConnectionError, TopologyError } from '../errors.js';
import { Backoff, channelBackoff } from '../transport/connection/backoff.js';
import type { Connection } from '../transport/connection/connection.js';
import { classify, invalidArgumentOf } from '../transport/failures.js';
import type { Delivery, Link } from '../transport/port.js';
import { toTopologyError } from '../transport/public-errors.js';
import { type Clock, raceAbort, sleep } from '../util/clock.js';
import { MAX_HOLD_MS } from './limits.js';
import type { ResolvedConsumerOptions } from './options/consumer-options.js';
import { Session, type SessionOptions } from './session/session.js';
import type { StreamPosition } from './session/stream-position.js';

export interface RecoveryLoopSettings {
  readonly contract: QueueContract;
  readonly options: ResolvedConsumerOptions;
  readonly connection: Connection;
  readonly clock: Clock;
  /** For a stream: the consumer's position. */
  readonly position?: StreamPosition | undefined;
  /** Whether the next session begins without deliveries. */
  readonly isPaused: () => boolean;
  /** The queue exists and is bound. */
  readonly onDeclared: () => void;
  /** A queue or exchange that the consumer needs had disappeared and was declared again. */
  readonly onRestored: (restored: Restored) => void;
  readonly onDelivery: (delivery: Delivery, session: Session) => void;
  /** Called for the first message, before the session counts as open, because its handler can already stop everything. */
  readonly onDelivering: (session: Session) => void;
  readonly onOpened: (session: Session) => void;
  /** The session is over, or the next one could not be opened yet. */
  readonly onLost: (reason: Error, session: Session | undefined) => void;
  /** No further attempt makes sense. */
  readonly onFailed: (error: Error) => void;
}

/**
 * Keeps one session open until it is stopped: declares, opens, consumes, and starts over after every loss. A recovery is the
 * first start again, and waits for nothing that a lost session has left behind.
 */
export class RecoveryLoop {
  readonly #settings: RecoveryLoopSettings;
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  #wasOpen: boolean;
  /** The link on which everything was declared last. */
  #lastLink: Link | undefined;
  /** False once the server has refused {@link CONSUMER_TIMEOUT}: the queue of another program can be of another type. */
  #asksForTime = true;

  /** @param wasOpen - the queue existed before, so a missing one is not a mistake of the program */
  constructor(settings: RecoveryLoopSettings, wasOpen: boolean) {
    this.#settings = settings;
    this.#backoff = new Backoff(channelBackoff, settings.clock.random);
    this.#wasOpen = wasOpen;
    void this.#run();
  }

  /** Opens no further session. The open one stays as it is. */
  stop(): void {
    this.#stopping.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      let link: Link | undefined;
      try {
        link = await raceAbort(this.#settings.connection.link(), signal);
        const delayMs = await this.#runOn(link);
        await sleep(this.#settings.clock, delayMs, signal);
      } catch (cause) {
        if (signal.aborted) return;
        if (this.#asksForTime && invalidArgumentOf(cause as Error) === CONSUMER_TIMEOUT) {
          this.#asksForTime = false;
          continue;
        }
        const error = this.#refusal(cause);
        if (error) {
          this.#settings.onFailed(error);
          return;
        }
        this.#settings.onLost(cause as Error, undefined);
        // If the whole connection is lost, it has its own delay.
        if (link?.isOpen === false) continue;
        const delayMs = this.#backoff.afterFailure({ reachedServer: true });
        await sleep(this.#settings.clock, Math.max(1, delayMs), signal);
      }
    }
  }

  /** Runs one session from beginning to end. Resolves with the delay before the next. */
  async #runOn(link: Link): Promise<number> {
    const { clock, isPaused, onDelivery, onDelivering, onOpened, onLost } = this.#settings;
    const { signal } = this.#stopping;
    if (this.#wasOpen) await this.#checkStream(link);
    let isKnown = false;
    const options: SessionOptions = {
      ...this.#sessionOptions(link),
      onDelivery: (delivery, session) => {
        if (!isKnown && !signal.aborted) {
          isKnown = true;
          onDelivering(session);
        }
        onDelivery(delivery, session);
      },
    };
    const session = await Session.open(link, options, isPaused());
    const openedAt = clock.now();
    this.#wasOpen = true;
    if (!signal.aborted) onOpened(session);
    else if (!isKnown) void session.close();
    const reason = await session.ended;
    onLost(reason, session);
    void session.close();
    if (session.hasLeft) return 0;
    return link.isOpen && !signal.aborted ? this.#backoff.afterLoss(clock.now() - openedAt) : 0;
  }

  #sessionOptions(link: Link): Omit<SessionOptions, 'onDelivery'> {
    const { clock, contract, options, position, onDeclared, onRestored } = this.#settings;
    const { prefetch, noAck, exclusive, priority, handlerTimeoutMs, ackDelayMs = 0 } = options;
    return {
      queue: contract.name,
      queueType: contract.type,
      position,
      prefetch,
      ackDelay: { clock, ms: ackDelayMs },
      consume: {
        noAck,
        exclusive,
        arguments: argumentsOf(contract, priority, this.#asksForTime ? handlerTimeoutMs : undefined),
        isReplicated: contract.type === 'quorum' && !isSingleActive(contract),
      },
      declare: async (openChannel) => {
        // Declares again what was declared on this link: it may be gone since, for instance with its last consumer.
        // After a reconnect it is not looked for: that would cost each consumer three round trips.
        const look = this.#lastLink === link ? onRestored : undefined;
        const how = { again: true, openChannel, onRestored: look };
        await declarerOf(link).declareAll(consumedTopologyOf(contract), how);
        this.#lastLink = link;
        onDeclared();
      },
    };
  }

  /** A stream that was deleted begins at offset 0 again: at an old offset, the server would skip the messages before it. */
  async #checkStream(link: Link): Promise<void> {
    const { contract, position } = this.#settings;
    if (!position) return;
    try {
      await declarerOf(link).run((channel) => channel.checkQueue(contract.name));
    } catch (error) {
      if (classify(error) !== 'missing') throw error;
      position.restart();
    }
  }

  /** The error that ends the consumer, or undefined if another attempt may succeed. */
  #refusal(cause: unknown): Error | undefined {
    const { declare, name } = this.#settings.contract;
    switch (classify(cause)) {
      // Another consumer is exclusive: perhaps our own last connection, until the server notices that it is gone.
      case 'exclusive':
        return undefined;
      case 'no-channel':
        if (!(cause instanceof Error) || this.#wasOpen) return undefined;
        return new ConnectionError('CONNECTION_FAILED', `The queue '${name}': ${cause.message}`, { cause });
      // Deleted right after it was declared. A missing exchange comes as a TopologyError of the declaration.
      case 'missing':
        if (declare === true) return undefined;
    }
    const error = toTopologyError(cause, name, `The queue '${name}'`);
    if (error instanceof TopologyError)
      return error.code === 'NOT_FOUND' && this.#wasOpen ? undefined : error;
    return error instanceof ConnectionError || error instanceof ClosedError ? error : undefined;
  }
}

/**
 * When the process of a classic queue crashes, the channel consumes from the next one by itself. On 3.10 it can lose what
 * that process delivers at once: the server then waits for acknowledgements of messages that never arrived. With this
 * argument the server cancels the consumer instead, and we recover (rabbit_channel:queue_down_consumer_action). Other types
 * of queues refuse the argument, or do without.
 */
function argumentsOf(
  { type, declare, arguments: args }: QueueContract,
  priority: number | undefined,
  handlerTimeoutMs: number | undefined,
): Record<string, unknown> {
  return {
    ...(type === 'classic' && declare === true && { 'x-cancel-on-ha-failover': true }),
    ...(type === 'quorum' &&
      handlerTimeoutMs !== undefined &&
      args[CONSUMER_TIMEOUT] === undefined && {
        [CONSUMER_TIMEOUT]: Math.min(MAX_CONSUMER_TIMEOUT_MS, 2 * handlerTimeoutMs + MAX_HOLD_MS + SLACK_MS),
      }),
    ...(priority !== undefined && { 'x-priority': priority }),
  };
}

/**
 * The argument for how long the server lets a delivery be unacknowledged. From 4.3 on a consumer of a quorum queue can ask for
 * its own limit; older servers ignore the argument (measured on 3.10 and 4.0).
 */
const CONSUMER_TIMEOUT = 'x-consumer-timeout';

/** The largest signed integer of 32 bits: 24 days. */
const MAX_CONSUMER_TIMEOUT_MS = 2 ** 31 - 1;

/** Time to spare, beside the run of the message, the run that it waits for in the prefetch buffer, and its wait for a retry. */
const SLACK_MS = 10 * 60_000;
