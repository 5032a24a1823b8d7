import type { QueueContract } from '../contracts/types.js';
import { ClosedError } from '../errors.js';
import type { BackgroundPublisher } from '../producer/publisher/background-publisher.js';
import { Publisher } from '../producer/publisher/publisher.js';
import { publisherTargetOf } from '../producer/publisher/publisher-settings.js';
import type { Connection } from '../transport/connection/connection.js';
import type { Role } from '../transport/port.js';
import type { Clock } from '../util/clock.js';

/** All running operations on dead letters, so that closing the broker can end them. */
export class DeadLetterOperations implements BackgroundPublisher {
  /** Dead letters are read on the consuming connection, which no alarm can stop, and put back on the other one. */
  readonly #connections: Readonly<Record<Role, Connection>>;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  /** Called with the id of each dead letter before it is put back. */
  readonly onReplay: ((messageId: string | undefined) => void) | undefined;
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  readonly #publishers = new Set<Publisher>();

  constructor(
    connections: Readonly<Record<Role, Connection>>,
    clock: Clock,
    maxBodyBytes: number,
    onReplay?: (messageId: string | undefined) => void,
  ) {
    this.#connections = connections;
    this.clock = clock;
    this.maxBodyBytes = maxBodyBytes;
    this.onReplay = onReplay;
  }

  /** The connection on which dead letters are read. */
  get connection(): Connection {
    return this.#connections.consume;
  }

  /** Runs an operation that ends soon after its signal aborts, because the caller's signal did or because the broker closes. */
  async run<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const closing = this.#closing.signal;
    closing.throwIfAborted();
    const running = work(signal ? AbortSignal.any([closing, signal]) : closing);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Lends a publisher to the contract's queue, and closes it after use. */
  async publishing<T>(
    contract: QueueContract,
    maxInFlight: number,
    work: (publisher: Publisher) => Promise<T>,
  ): Promise<T> {
    const publisher = new Publisher({
      ...publisherTargetOf(contract),
      connection: this.#connections.publish,
      clock: this.clock,
      maxInFlight,
      maxBuffered: maxInFlight,
    });
    this.#publishers.add(publisher);
    try {
      return await work(publisher);
    } finally {
      await publisher.close();
      this.#publishers.delete(publisher);
    }
  }

  /** Ends the running operations after their current dead letters. */
  async close(): Promise<void> {
    this.#closing.abort(
      new ClosedError('The broker was closed; unsettled dead letters are still in their queue'),
    );
    await Promise.allSettled(this.#running);
  }

  abort(): void {
    void this.close();
    for (const publisher of this.#publishers) publisher.abort();
  }

  flush(): void {
    for (const publisher of this.#publishers) publisher.flush();
  }
}
