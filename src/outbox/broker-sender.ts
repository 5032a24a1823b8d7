import type { Contract } from '../contracts/types.js';
import { ConnectionError, TimeoutError } from '../errors.js';
import type { OnRestored } from '../producer/publisher/declare-on-demand.js';
import { notSetUp } from '../producer/publisher/pending-send.js';
import { Publisher } from '../producer/publisher/publisher.js';
import { publisherTargetOf } from '../producer/publisher/publisher-settings.js';
import type { Connection } from '../transport/connection/connection.js';
import type { OutgoingMessage } from '../transport/port.js';
import { type Clock, raceAbort, sleep, withDeadline } from '../util/clock.js';
import { realTimers } from '../util/timers.js';
import type { MessageSendOptions } from './row-sender.js';
import type { RelaySender } from './table-relay.js';

/** The pause after a server refused permanently, for instance because of a changed password, in milliseconds. */
const REFUSED_MS = 5_000;

/** How long one batch waits for the consumers of an exchange, in milliseconds. */
const SET_UP_MS = 1_000;

/** After this time, in milliseconds, a row that waits for them has failed, and makes way for others until its next attempt. */
const LONG_MS = 10_000;

/** The parts of a broker that its relays send through. */
export interface BrokerSenderHost {
  readonly connection: Connection;
  readonly clock: Clock;
  /** Resolves when the earlier consumers on an exchange are set up. Undefined when all are. */
  readonly setUpOn: (exchange: string) => Promise<void> | undefined;
  /** A queue or exchange had disappeared and was declared again. */
  readonly onRestored: OnRestored;
}

/** Sends the rows of one relay, through a publisher per contract. */
export class BrokerSender implements RelaySender {
  readonly #host: BrokerSenderHost;
  readonly #batch: number;
  readonly #publishers = new Map<Contract, Publisher>();
  /** Since when an exchange has waited for its consumers. */
  readonly #waitingSince = new Map<Contract, number>();
  #isAborted = false;

  /** @param batch - how many rows are sent at once */
  constructor(host: BrokerSenderHost, batch: number) {
    this.#host = host;
    this.#batch = batch;
  }

  get isUsable(): boolean {
    const link = this.#host.connection.current;
    return !this.#isAborted && link !== undefined && link.blocked === undefined;
  }

  async reach(signal: AbortSignal): Promise<void> {
    if (this.#host.connection.current) return;
    // The connection itself reports why it failed.
    const isRefused = await raceAbort(this.#host.connection.link(), signal).then(
      () => false,
      () => true,
    );
    if (isRefused) await sleep(this.#host.clock, REFUSED_MS, signal);
  }

  send(contract: Contract, message: OutgoingMessage, options: MessageSendOptions): Promise<unknown> {
    const { dueInMs, timeoutMs, signal } = options;
    const messageId = message.properties.messageId as string;
    const dueAt = dueInMs === undefined ? undefined : this.#host.clock.now() + dueInMs;
    const add = (leftMs: number) =>
      this.#publisherOf(contract).add(
        message,
        { messageId },
        { timeoutMs: leftMs, signal, dueAt, hasOwnId: true },
      );
    const setUp = contract.kind === 'exchange' ? this.#host.setUpOn(contract.name) : undefined;
    if (!setUp) return add(timeoutMs);
    // Real time: while the process was frozen, another relay may have taken the row.
    const startedAt = realTimers.now();
    return this.#waitFor(setUp, contract, signal).then(() => {
      const leftMs = timeoutMs - (realTimers.now() - startedAt);
      if (leftMs <= 0) throw new ConnectionError('CONNECTION_FAILED', 'The time of the batch is over');
      return add(leftMs);
    });
  }

  /**
   * Waits briefly, since the transaction of the batch is open. After that the row counts as untried, or as failed once its
   * exchange has waited for long.
   */
  async #waitFor(setUp: Promise<void>, contract: Contract, signal: AbortSignal): Promise<void> {
    const { clock } = this.#host;
    const since = this.#waitingSince.get(contract) ?? clock.now();
    this.#waitingSince.set(contract, since);
    const timeoutError = () => {
      const text = notSetUp(publisherTargetOf(contract).target);
      const isLong = clock.now() - since >= LONG_MS;
      return isLong ? new TimeoutError(text) : new ConnectionError('CONNECTION_FAILED', text);
    };
    await withDeadline(clock, raceAbort(setUp, signal), SET_UP_MS, timeoutError);
    this.#waitingSince.delete(contract);
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
        connection: this.#host.connection,
        clock: this.#host.clock,
        onRestored: this.#host.onRestored,
        // All rows of a batch go out at once: none may be sent later, when another relay may already own it.
        maxInFlight: Math.max(1_000, this.#batch),
        maxBuffered: this.#batch,
      });
      this.#publishers.set(contract, publisher);
    }
    return publisher;
  }
}
