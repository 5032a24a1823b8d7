import { ReceivedMessage, type Settler } from '../../../src/consumer/delivery/message.js';
import type { Verdict } from '../../../src/consumer/delivery/verdict.js';
import type { Session } from '../../../src/consumer/session/session.js';
import type { QueueType } from '../../../src/contracts/types.js';
import type { Delivery } from '../../../src/transport/port.js';

/** A delivery of a JSON message, except for the overrides. */
export function delivery(overrides: Partial<Delivery> = {}): Delivery {
  return {
    deliveryTag: 1,
    redelivered: false,
    exchange: '',
    routingKey: 'emails',
    properties: {},
    content: Buffer.from('{}'),
    ...overrides,
  };
}

/** A session that writes down which deliveries are given back. */
export class FakeSession {
  readonly queueType: QueueType;
  readonly log: string[] = [];
  isLive = true;

  constructor(queueType: QueueType = 'quorum') {
    this.queueType = queueType;
  }

  get asSession(): Session {
    return this as unknown as Session;
  }

  ack(tag: number): boolean {
    return this.#note(`ack ${tag}`);
  }

  requeueUnseen(tag: number): boolean {
    return this.#note(`unseen ${tag}`);
  }

  requeueFailed(tag: number): boolean {
    return this.#note(`failed ${tag}`);
  }

  drop(tag: number): boolean {
    return this.#note(`drop ${tag}`);
  }

  countRun(): void {}

  #note(what: string): boolean {
    if (this.isLive) this.log.push(what);
    return this.isLive;
  }
}

/** Takes every verdict, and keeps it. */
export class FakeSettler implements Settler {
  readonly verdicts: (Verdict & { readonly tag: number })[] = [];
  /** What it answers: false for a stale delivery. */
  answer = true;

  /** The verdicts in short: `ack 1`, `retry 2`. */
  get short(): string[] {
    return this.verdicts.map(({ kind, tag }) => `${kind} ${tag}`);
  }

  settle(message: ReceivedMessage, verdict: Verdict): boolean {
    this.verdicts.push({ ...verdict, tag: message.delivery.deliveryTag });
    return this.answer;
  }
}

/** A message as a consumer gets it. */
export function received(
  overrides: Partial<Delivery> = {},
  { session = new FakeSession(), settler = new FakeSettler() as Settler } = {},
): ReceivedMessage {
  return new ReceivedMessage(delivery(overrides), session.asSession, settler);
}
