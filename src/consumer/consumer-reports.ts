import type { QueueContract } from '../contracts/types.js';
import type { Events } from '../event-emitter.js';
import type { Clock } from '../util/clock.js';
import { isBefore } from '../util/server-version.js';
import type { ResolvedConsumerOptions } from './options/consumer-options.js';

/** How long RabbitMQ waits for an acknowledgement by default: https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout */
const SERVER_LIMIT_MS = 30 * 60_000;

const minutes = (ms: number) => (Number.isFinite(ms) ? `${Math.round(ms / 60_000)} minutes` : 'any time');

/** The part of a consumer's options that bounds its handler. */
type HandlerLimit = Pick<ResolvedConsumerOptions, 'handlerTimeoutMs'>;

/** Reports what happens to a consumer: that it has failed, and that it is back after a loss. */
export class ConsumerReports {
  readonly #queue: string;
  readonly #events: Events;
  readonly #clock: Clock;
  #lost: { readonly at: number; readonly reason: Error } | undefined;
  #isWatched = false;

  constructor(queue: string, events: Events, clock: Clock) {
    this.#queue = queue;
    this.#events = events;
    this.#clock = clock;
  }

  /** The program watches how the consumer ends, so a failure needs no warning. */
  watched(): void {
    this.#isWatched = true;
  }

  /** Consumes for the first time. Warns if the server takes a message back before the time of its handler is over. */
  opened(
    { arguments: args }: QueueContract,
    { handlerTimeoutMs }: HandlerLimit,
    serverVersion: string,
  ): void {
    // From 4.3 on a consumer of a quorum queue asks for its time, and other queues have no limit.
    if (handlerTimeoutMs <= SERVER_LIMIT_MS || !isBefore(serverVersion, 4, 3)) return;
    if (args['x-consumer-timeout'] !== undefined) return;
    const text =
      `Leveret: a handler of the queue '${this.#queue}' may take ${minutes(handlerTimeoutMs)}, and RabbitMQ ${serverVersion} ` +
      `takes a message back after ${minutes(SERVER_LIMIT_MS)} by default: raise its 'consumer_timeout'`;
    this.#events.warn('LEVERET_HANDLER_TIMEOUT', this.#queue, text);
  }

  /** Deliveries have stopped. Only the first loss counts until the consumer is back. */
  lost(reason: Error): void {
    this.#lost ??= { at: this.#clock.now(), reason };
  }

  /** The consumer does not come back: there is nothing to report. */
  forgetLoss(): void {
    this.#lost = undefined;
  }

  /** Deliveries are possible again. Reports it if there was a loss. */
  recovered(): void {
    if (this.#lost === undefined) return;
    const { at, reason } = this.#lost;
    this.#events.emit('consumer-recovered', {
      queue: this.#queue,
      downMs: Math.round(this.#clock.now() - at),
      reason: reason.message,
    });
    this.#lost = undefined;
  }

  /** The consumer has failed for good. */
  failed(error: Error): void {
    if (this.#events.isUnheard('consumer-failed') && !this.#isWatched) {
      const text = `Leveret: the consumer of the queue '${this.#queue}' has failed: ${error.message}`;
      const advice =
        "await its 'ready' or 'closed', listen with broker.on('consumer-failed'), or pass a 'logger'";
      this.#events.warn('LEVERET_CONSUMER_FAILED', this.#queue, `${text}. To handle this, ${advice}`);
    }
    this.#events.emit('consumer-failed', { queue: this.#queue, error });
  }
}
