import type { ConsumerState } from './consumer-state.js';
import type { Message } from './delivery/message.js';

/** Counters of a consumer since it was made. */
export interface ConsumerStats {
  /** Messages acknowledged: handled, or recognised as handled before. */
  readonly acked: number;
  /** Messages that wait for another attempt, or got one. */
  readonly retried: number;
  /** Messages that went to the dead-letter queue, invalid ones too, or were dropped where there is none. */
  readonly deadLettered: number;
  /** Messages given back to the queue by `requeue()`, or by a loop that was left with them in hand. */
  readonly requeued: number;
  /** Messages that could not be decoded, were too large, or did not fit the schema. */
  readonly invalid: number;
  /** Verdicts that came after their delivery was lost. They did nothing. */
  readonly stale: number;
  /** Messages that came again after their acknowledgement was lost, and did not run again. */
  readonly recognised: number;
  /** Messages that an inbox or an idempotency store knew as handled, and that did not run again. */
  readonly duplicates: number;
  /** Messages whose handler, or loop body, is at work. */
  readonly inFlight: number;
  /** Messages delivered ahead, which nobody has looked at. */
  readonly waiting: number;
  /** How many messages the server may deliver ahead now: with `prefetch: 'auto'` it changes with the speed of the handler. */
  readonly prefetch: number;
}

/** Consumes one queue. Made by `broker.consumer(…)`; starts by itself. */
export interface Consumer<Body = unknown> extends AsyncDisposable, AsyncIterable<Message<Body>> {
  /**
   * Resolves when the server delivers to it. Rejects when it cannot start for a reason that lasts: `TopologyError`,
   * `ConnectionError`, or `ClosedError` when it is closed, or its only loop left, before. Need not be awaited.
   */
  readonly ready: Promise<void>;
  /** Resolves when it is closed: with nothing, or with the error that ended it. Never rejects. */
  readonly closed: Promise<Error | undefined>;
  /** What it is doing. */
  readonly state: ConsumerState;
  /** What it has done so far. */
  readonly stats: ConsumerStats;
  /**
   * Stops deliveries and gives back the messages that nobody has looked at. Running handlers go on. Twice is harmless.
   *
   * A queue with `autoDelete`, such as that of a private subscription, would be deleted with its last consumer. So of such a
   * queue the messages that were delivered ahead, as many as `prefetch` says, wait here instead. The server takes that for 30
   * minutes at most (its consumer timeout); then it closes the channel, and the queue may go. With `noAck` it goes at once.
   *
   * A queue with `singleActiveConsumer` passes to its next consumer, with all that was not handled and in order, as soon as
   * running handlers have ended.
   */
  pause(): Promise<void>;
  /** Goes on after `pause`. Twice is harmless. */
  resume(): Promise<void>;
  /**
   * Stops deliveries, gives back what nobody has looked at, waits for running handlers and sends their acknowledgements. At
   * the deadline the handlers' signals abort, and their messages go back to the queue. Resolves also then; never rejects. The
   * same promise each time. A handler that awaits it waits for itself, up to the deadline: there, call it without `await`.
   *
   * @param options - `timeoutMs`: how long running handlers may take, in milliseconds, 0 or more, or `Infinity`; 25 000 by
   * default
   * @throws ConfigurationError at once, for an unknown option or a value out of range
   */
  close(options?: { readonly timeoutMs?: number }): Promise<{ readonly clean: boolean }>;
  /**
   * The messages, for a `for await` loop. Several loops share them.
   *
   * @throws ConfigurationError for a consumer that was made with a handler
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message<Body>>;
}
