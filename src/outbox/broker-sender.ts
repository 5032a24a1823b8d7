import type { Contract } from '../contracts/types.js';
import { Publisher } from '../producer/publisher/publisher.js';
import { publisherTargetOf } from '../producer/publisher/publisher-settings.js';
import type { Connection } from '../transport/connection/connection.js';
import type { OutgoingMessage } from '../transport/port.js';
import { type Clock, raceAbort, sleep } from '../util/clock.js';
import type { MessageSendOptions } from './row-sender.js';
import type { RelaySender } from './table-relay.js';

/** The pause after a server refused permanently, for instance because of a changed password, in milliseconds. */
const REFUSED_MS = 5_000;

/** Sends the rows of one relay, through a publisher per contract. */
export class BrokerSender implements RelaySender {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #batch: number;
  readonly #publishers = new Map<Contract, Publisher>();
  #isAborted = false;

  constructor(connection: Connection, clock: Clock, batch: number) {
    this.#connection = connection;
    this.#clock = clock;
    this.#batch = batch;
  }

  get isUsable(): boolean {
    const link = this.#connection.current;
    return !this.#isAborted && link !== undefined && link.blocked === undefined;
  }

  async reach(signal: AbortSignal): Promise<void> {
    if (this.#connection.current) return;
    // The connection itself reports why it failed.
    const isRefused = await raceAbort(this.#connection.link(), signal).then(
      () => false,
      () => true,
    );
    if (isRefused) await sleep(this.#clock, REFUSED_MS, signal);
  }

  send(contract: Contract, message: OutgoingMessage, options: MessageSendOptions): Promise<unknown> {
    const { dueInMs, timeoutMs, signal } = options;
    const messageId = message.properties.messageId as string;
    const dueAt = dueInMs === undefined ? undefined : this.#clock.now() + dueInMs;
    return this.#publisherOf(contract).add(
      message,
      { messageId },
      { timeoutMs, signal, dueAt, hasOwnId: true },
    );
  }

  abort(): void {
    this.#isAborted = true;
    for (const publisher of this.#publishers.values()) publisher.abort();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#publishers.values()].map((publisher) => publisher.close()));
  }

  #publisherOf(contract: Contract): Publisher {
    let publisher = this.#publishers.get(contract);
    if (!publisher) {
      publisher = new Publisher({
        ...publisherTargetOf(contract),
        connection: this.#connection,
        clock: this.#clock,
        // All rows of a batch go out at once: none may be sent later, when another relay may already own it.
        maxInFlight: Math.max(1_000, this.#batch),
        maxBuffered: this.#batch,
      });
      this.#publishers.set(contract, publisher);
    }
    return publisher;
  }
}
