import { isSingleActive } from '../../contracts/guards.js';
import type { QueueContract } from '../../contracts/types.js';
import { ConfigurationError } from '../../errors.js';
import {
  type Check,
  checkOptions,
  either,
  expectBoolean,
  expectDuration,
  expectFunction,
  expectInteger,
  expectOneOf,
  expectSignal,
} from '../../util/checks.js';
import type { Message } from '../delivery/message.js';
import { checkStreamOptions, expectStreamOffset, type StreamOffset } from './stream-offset.js';

/**
 * The values that `orderBy` may return. Two keys are equal if they are the same value; two dates, if they are the same
 * moment. `undefined` means no key.
 */
export type OrderKey = string | number | bigint | boolean | null | undefined | Date;

/** The options of `broker.consumer(…)`. */
export interface ConsumerOptions {
  /**
   * How many handlers run at once, 1 to 10 000. With 1 the messages are handled in order, except that a retried message comes
   * back behind the others: see `orderBy`. A message that was redelivered three times or more by its quorum queue runs alone:
   * if it ends the process, no other running message is requeued, and counted, with it. At most 20 on a queue with
   * `singleActiveConsumer`.
   * @defaultValue 1
   */
  readonly concurrency?: number | undefined;
  /**
   * How many messages the server may deliver ahead, 1 to 65 535, and at least `concurrency`.
   *
   * `'auto'` begins with one more than the concurrency, and grows when the server uses that up and the handlers are quick:
   * about 200 ms of work waits here, at most 1 000 messages, so slow handlers leave messages to other workers. It grows by
   * adding a consumer on the same channel, which the server counts: `broker.stats(queue).consumers` and the management UI
   * show more than one for a quick consumer. When a handler becomes so slow that more than two seconds of work are waiting,
   * the waiting messages are requeued. For an exclusive consumer and for a stream, `'auto'` is 50, or twice the concurrency
   * if that is more; on a queue with `singleActiveConsumer` it is 20, which is also the maximum there.
   * `consumer.stats.prefetch` is the current value. Set a number for jobs of more than ten minutes and for priorities (as many
   * as `concurrency`), and for `orderBy` when one key may fill the prefetch (more). @defaultValue 'auto'
   */
  readonly prefetch?: number | 'auto' | undefined;
  /**
   * A handler counts as failed after this many milliseconds, 1 or more: its signal aborts, and the retry policy decides. The
   * server's own limit is 30 minutes. From RabbitMQ 4.3 on, the consumer of a quorum queue asks the server for as much as it
   * needs, and other queues have no limit; for older servers, raise the server's limit too. `Infinity` leaves it to the server.
   * @defaultValue 1200000 (20 minutes)
   */
  readonly handlerTimeoutMs?: number | undefined;
  /** Closes the consumer. */
  readonly signal?: AbortSignal | undefined;
  /** Consumers with a higher number are served first, -1 000 000 to 1 000 000. @defaultValue the server's: 0 */
  readonly priority?: number | undefined;
  /**
   * Only this consumer may consume from the queue; while another one consumes, this one waits. Classic queues only: for a
   * quorum queue set `singleActiveConsumer` on the queue. @defaultValue false
   */
  readonly exclusive?: boolean | undefined;
  /**
   * **Loses messages.** The server forgets each message as soon as it has written it to the socket: messages in flight when
   * this process or the connection dies are lost, a failed message is not retried, and nothing limits how many messages are
   * delivered ahead. Messages that the handler gives up on with `DeadLetter`, and invalid ones, are still dead-lettered.
   * @defaultValue false
   */
  readonly noAck?: boolean | undefined;
  /**
   * Where to begin, on a stream only. From there on the consumer keeps its own position: after a reconnect, a pause or a loop
   * that was left, it continues with the first message that it has not handled. Another consumer, or another process, begins
   * at this offset again. `'next'` reads what is sent from now on; for everything that the stream holds, use `'first'`.
   * @defaultValue 'next'
   */
  readonly offset?: StreamOffset | undefined;
}

/**
 * The options of `broker.consumer(…)` with a handler.
 *
 * @example
 * ```ts
 * broker.consumer(emails, ({ body }) => deliver(body), { concurrency: 20, orderBy: ({ body }) => body.to });
 * ```
 */
export interface HandlerOptions<Body = unknown> extends ConsumerOptions {
  /**
   * Messages for which it returns the same key are handled in order, one at a time; those with different keys in parallel, as
   * many as `concurrency` says. A key is a string, a number, a bigint, a boolean, `null` or a `Date`, compared by value.
   * `undefined` is no key: the message waits for no other. Anything else, such as an array, is a `ConfigurationError`, which
   * the message fails with; for a compound key return a text, such as `JSON.stringify([shop, customer])`.
   *
   * The order is that of their delivery to this consumer, and a failed message keeps it: it runs again in its place, after
   * the delay of the retry policy, and those of its key wait for it; the others do not. Only when that takes longer than 20
   * minutes in all, and when the consumer is closed meanwhile, does it leave its place. Attempts in place are forgotten when
   * the delivery is lost. The order holds within one consumer: with several consumers of a queue, in one process or in many,
   * each has an order of its own. Set `singleActiveConsumer` on the queue for one order over all of them.
   *
   * A message can only pass those that were delivered ahead: when one key may fill all of the `prefetch`, raise it. If the
   * function throws, the message has failed as if its handler had thrown. It must be quick.
   */
  readonly orderBy?: ((message: Message<Body>) => OrderKey) | undefined;
}

/** {@link ConsumerOptions} with every default filled in. */
export interface ResolvedConsumerOptions {
  readonly concurrency: number;
  /** The prefetch at the beginning. */
  readonly prefetch: number;
  /** The largest prefetch that it may grow to. */
  readonly maxPrefetch: number;
  readonly handlerTimeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly priority: number | undefined;
  readonly exclusive: boolean;
  readonly noAck: boolean;
  readonly offset: StreamOffset;
  readonly orderBy: ((message: Message) => unknown) | undefined;
  /**
   * How long an acknowledgement may wait to be sent together with others; absent: until the end of this turn of the event
   * loop.
   */
  readonly ackDelayMs?: number | undefined;
}

/** The largest value of `basic.qos` in AMQP 0-9-1: its prefetch-count has 16 bits. */
export const MAX_PREFETCH = 65_535;

/** The prefetch if it does not adapt. */
const STEADY_PREFETCH = 50;

/** The largest prefetch that `'auto'` grows to. */
const MAX_AUTO_PREFETCH = 1_000;

/**
 * The largest prefetch of a single active consumer. It leaves by closing its channel, and its unhandled messages then count
 * as delivered once more, on 4.3 as failed once more. So only a few messages may wait here.
 */
export const MAX_SINGLE_ACTIVE_PREFETCH = 20;

/** @internal */
export const consumerChecks: Readonly<Record<string, Check>> = {
  concurrency: expectInteger(1, 10_000),
  prefetch: either(expectInteger(1, MAX_PREFETCH), expectOneOf('auto')),
  handlerTimeoutMs: expectDuration(1, { infinity: true }),
  signal: expectSignal,
  priority: expectInteger(-1_000_000, 1_000_000),
  exclusive: expectBoolean,
  noAck: expectBoolean,
  offset: expectStreamOffset,
  orderBy: expectFunction,
};

/**
 * Checks the options and fills in the defaults.
 *
 * @param moreChecks - of options that are resolved elsewhere
 */
export function resolveConsumerOptions(
  contract: QueueContract,
  options: HandlerOptions<never> = {},
  moreChecks: Readonly<Record<string, Check>> = {},
): ResolvedConsumerOptions {
  checkOptions(`consumer of the queue '${contract.name}'`, options, { ...consumerChecks, ...moreChecks });
  if (options.exclusive && contract.type === 'quorum') {
    throw new ConfigurationError(
      'exclusive',
      `consumer of the queue '${contract.name}': RabbitMQ ignores 'exclusive' on quorum queues. ` +
        `Set 'singleActiveConsumer: true' on the queue instead`,
    );
  }
  if (options.exclusive && isSingleActive(contract)) {
    throw new ConfigurationError(
      'exclusive',
      `consumer of the queue '${contract.name}': 'exclusive' cannot be combined with a single-active-consumer queue, ` +
        'which already admits one consumer at a time',
    );
  }
  checkStreamOptions(contract, options);
  const { concurrency = 1, prefetch = 'auto' } = options;
  const adapts = prefetch === 'auto' && !options.exclusive && !options.noAck;
  return {
    concurrency,
    ...resolvePrefetch(contract, concurrency, prefetch, adapts),
    handlerTimeoutMs: options.handlerTimeoutMs ?? 20 * 60_000,
    signal: options.signal,
    priority: options.priority,
    exclusive: options.exclusive ?? false,
    noAck: options.noAck ?? false,
    offset: options.offset ?? 'next',
    orderBy: options.orderBy as ((message: Message) => unknown) | undefined,
  };
}

function resolvePrefetch(
  contract: QueueContract,
  concurrency: number,
  prefetch: number | 'auto',
  adapts: boolean,
): { readonly prefetch: number; readonly maxPrefetch: number } {
  const refused = (option: string, why: string) =>
    new ConfigurationError(option, `consumer of the queue '${contract.name}': ${why}`);
  const isSingle = isSingleActive(contract);
  const most = isSingle ? MAX_SINGLE_ACTIVE_PREFETCH : MAX_PREFETCH;
  const because =
    isSingle && 'with a single active consumer, which requeues its unhandled messages when it leaves';
  if (because && concurrency > most)
    throw refused(
      'concurrency',
      `option 'concurrency' must be at most ${most} ${because}, got ${concurrency}`,
    );
  if (adapts && !isSingle && contract.type !== 'stream') {
    const first = concurrency + 1;
    return { prefetch: first, maxPrefetch: Math.max(MAX_AUTO_PREFETCH, first) };
  }
  if (prefetch === 'auto') return steady(Math.min(most, Math.max(STEADY_PREFETCH, 2 * concurrency)));
  if (because && prefetch > most)
    throw refused('prefetch', `option 'prefetch' must be at most ${most} ${because}, got ${prefetch}`);
  if (prefetch < concurrency)
    throw refused(
      'prefetch',
      `option 'prefetch' must be at least 'concurrency', here ${concurrency}, got ${prefetch}: ` +
        'no more handlers can run than messages are delivered',
    );
  return steady(prefetch);
}

const steady = (prefetch: number) => ({ prefetch, maxPrefetch: prefetch });
