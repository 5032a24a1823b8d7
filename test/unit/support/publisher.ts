import { z } from 'zod';
import { queue } from '../../../src/contracts/queue.js';
import type { Contract } from '../../../src/contracts/types.js';
import type { Receipt } from '../../../src/producer/publisher/pending-send.js';
import { Publisher } from '../../../src/producer/publisher/publisher.js';
import type { OutgoingMessage } from '../../../src/transport/port.js';
import { FakeClock, turn } from './fake-clock.js';
import { FakeConnection } from './fake-connection.js';
import type { FakeChannel, FakeLink } from './fake-link.js';
import { type Tracked, track } from './track.js';

/** A queue whose declaration is one step. */
export const emails = queue('emails', z.any(), { deadLetter: false });

interface BenchOptions {
  readonly contract?: Contract | undefined;
  readonly maxInFlight?: number;
  readonly maxBuffered?: number;
}

interface SendOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly bodyBytes?: number;
  readonly hasOwnId?: boolean;
  readonly delayMs?: number;
}

/** A queue that can be full, so that a refusal is final. */
export const bounded = queue('emails', z.any(), { maxLength: 10 });

/** A publisher between the test, which sends, and the test, which is the server. */
export class PublisherBench {
  readonly clock = new FakeClock();
  readonly connection = new FakeConnection();
  readonly publisher: Publisher;
  /** Whether it said that it has something to send, or a channel. */
  isActive = false;
  readonly #contract: Contract | undefined;

  constructor(options: BenchOptions = {}) {
    this.#contract = 'contract' in options ? options.contract : emails;
    this.publisher = new Publisher({
      target: "the queue 'emails'",
      connection: this.connection.asConnection,
      clock: this.clock,
      contract: this.#contract,
      hasManyTargets: this.#contract === undefined,
      maxInFlight: options.maxInFlight ?? 1_000,
      maxBuffered: options.maxBuffered ?? 10_000,
      onActive: (isActive) => {
        this.isActive = isActive;
      },
    });
  }

  /** One whose connection is open. */
  static connected(options: BenchOptions = {}): PublisherBench {
    const bench = new PublisherBench(options);
    bench.connection.open();
    return bench;
  }

  /** The link that was opened last. */
  get link(): FakeLink {
    const link = this.connection.links.at(-1);
    if (!link) throw new Error('the connection was never open');
    return link;
  }

  /** The channel that it publishes on. */
  get channel(): FakeChannel {
    return this.link.publisher;
  }

  /** Sends, without waiting: each with its own outcome. */
  send(id: string, options: SendOptions = {}): Tracked<Receipt> {
    const { timeoutMs = 30_000, signal, bodyBytes = 2, hasOwnId = false, delayMs } = options;
    const dueAt = delayMs === undefined ? undefined : this.clock.now() + delayMs;
    const isExchange = this.#contract?.kind === 'exchange';
    const message: OutgoingMessage = {
      exchange: isExchange ? 'orders' : '',
      routingKey: isExchange ? 'eu' : 'emails',
      mandatory: true,
      properties: { messageId: id },
      content: Buffer.alloc(bodyBytes),
    };
    return track(this.publisher.add(message, { messageId: id }, { timeoutMs, signal, hasOwnId, dueAt }));
  }

  /** Sends to a queue of this name, whatever the contract. */
  sendTo(
    queue: string,
    id: string,
    { delayMs, hasOwnId = false }: Pick<SendOptions, 'delayMs' | 'hasOwnId'> = {},
  ): Tracked<Receipt> {
    const message: OutgoingMessage = {
      exchange: '',
      routingKey: queue,
      mandatory: true,
      properties: { messageId: id },
      content: Buffer.alloc(2),
    };
    const dueAt = delayMs === undefined ? undefined : this.clock.now() + delayMs;
    const options = { timeoutMs: 30_000, signal: undefined, hasOwnId, dueAt };
    return track(this.publisher.add(message, { messageId: id }, options));
  }

  /** Sends several, and lets them out. */
  async sendAll(...ids: string[]): Promise<Record<string, Tracked<Receipt>>> {
    const sends = Object.fromEntries(ids.map((id) => [id, this.send(id)]));
    await turn();
    return sends;
  }
}

/** What has become of each send. */
export function states(sends: Readonly<Record<string, Tracked<unknown>>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(sends).map(([id, { state, error }]) => [
      id,
      state === 'rejected' ? ((error as { code?: string }).code ?? String(error)) : state,
    ]),
  );
}
