import type { ConsumerState } from './consumer-state.js';
import type { Message } from './delivery/message.js';

/** Counters of a consumer since it was created. */
export interface ConsumerStats {
  /** Messages acknowledged: handled, or recognised as already handled. */
  readonly acked: number;
  /** Messages that are waiting for another attempt, or got one. */
  readonly retried: number;
  /** Messages that went to the dead-letter queue, invalid ones included, or were dropped because there is none. */
  readonly deadLettered: number;
  /** Messages returned to the queue by `requeue()`, or by a loop that was left while it had them. */
  readonly requeued: number;
  /** Messages that could not be decoded, were too large, or did not match the schema. */
  readonly invalid: number;
  /** Verdicts that arrived after their delivery was lost. They had no effect. */
  readonly stale: number;
  /** Messages that were redelivered because their acknowledgement was lost, and were not handled again. */
  readonly recognised: number;
  /** Messages that an inbox or an idempotency store knew as handled, and that were not handled again. */
  readonly duplicates: number;
  /** Messages whose handler, or loop body, is running. */
  readonly inFlight: number;
  /** Prefetched messages that no handler or loop has seen yet. */
  readonly waiting: number;
  /** The current prefetch: with `prefetch: 'auto'` it changes with the speed of the handler. */
  readonly prefetch: number;
}

/** Consumes one queue. Created by `broker.consumer(…)`; starts by itself. */
export interface Consumer<Body = unknown> extends AsyncDisposable, AsyncIterable<Message<Body>> {
  /**
   * Resolves when the server delivers to the consumer. Rejects if the consumer cannot start for a permanent reason:
   * `TopologyError`, `ConnectionError`, or `ClosedError` if it is closed, or its only loop is left, before it starts. Safe to
   * ignore.
   */
  readonly ready: Promise<void>;
  /** Resolves when the consumer is closed: with nothing, or with the error that ended it. Never rejects. */
  readonly closed: Promise<Error | undefined>;
  /** The current state. */
  readonly state: ConsumerState;
  /** The counters since the consumer was created. */
  readonly stats: ConsumerStats;
  /**
   * Stops deliveries and requeues the prefetched messages that no handler has seen. Running handlers continue. Resolves when
   * no handler or loop takes another message. Never rejects. Calling it twice is harmless.
   *
   * A queue with `autoDelete`, such as that of a private subscription, would be deleted with its last consumer. The
   * prefetched messages of such a queue, at most `prefetch`, wait here instead. The server allows that for 30 minutes (its
   * consumer timeout); then it closes the channel, and the queue may be deleted. With `noAck` it is deleted at once.
   *
   * A queue with `singleActiveConsumer` passes to its next consumer as soon as the running handlers have finished, with
   * everything that was not handled and in order.
   */
  pause(): Promise<void>;
  /**
   * Continues after `pause`. Resolves when the server delivers again; during a loss of the connection at once, and the consumer
   * then continues after its recovery. Never rejects. Calling it twice is harmless.
   */
  resume(): Promise<void>;
  /**
   * Stops deliveries, requeues the messages that no handler has seen, waits for running handlers and sends their
   * acknowledgements. At the deadline the handlers' signals abort, and their messages are requeued. It resolves in that case,
   * too; it never rejects. Every call returns the same promise. A handler that awaits `close` waits for itself, up to the
   * deadline: call it without `await` there.
   *
   * @param options - `timeoutMs`: the time limit for running handlers, in milliseconds, 0 or more, or `Infinity`; 25 000 by
   * default
   * @throws ConfigurationError at once, for an unknown option or a value out of range
   */
  close(options?: { readonly timeoutMs?: number | undefined }): Promise<{ readonly clean: boolean }>;
  /**
   * The messages, for a `for await` loop. Several loops share them.
   *
   * @throws ConfigurationError for a consumer that was created with a handler
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message<Body>>;
}
