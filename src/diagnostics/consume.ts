import { traces } from './channels.js';
import type { TraceOrigin } from './origin.js';
import type { ConsumedMessageFields, ProcessTrace, SettleTrace } from './payloads.js';
import { type Subject, sideTable } from './side-table.js';
import { Trace } from './trace.js';

/** What the traces need of a received message. */
export interface TracedMessage {
  readonly id: string | undefined;
  readonly correlationId: string | undefined;
  readonly exchange: string;
  readonly routingKey: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly attempt: number;
  readonly redelivered: boolean;
  readonly delivery: { readonly deliveryTag: number };
  /** Milliseconds since 1970. */
  readonly deliveredAt: number;
}

/** One run: of a handler, or from handing a message to a loop to its verdict. */
export type RunTrace = Trace<ProcessTrace>;

/** One verdict, until it is carried out. */
export type VerdictTrace = Trace<SettleTrace>;

/** What should happen to a message, in the words of a trace. */
export interface TracedVerdict {
  readonly verdict: SettleTrace['verdict'];
  readonly delayMs: number | undefined;
  readonly reason: unknown;
}

export interface ConsumerTracerSettings {
  readonly origin: TraceOrigin;
  readonly queue: string;
  /** The exchange of a private subscription. */
  readonly subscribedTo: string | undefined;
  readonly wallNow: () => number;
}

/** Traces the runs and the verdicts of one consumer. Does nothing without a subscriber. */
export class ConsumerTracer {
  readonly #settings: ConsumerTracerSettings;

  constructor(settings: ConsumerTracerSettings) {
    this.#settings = settings;
  }

  /** A run of a handler, or of the body of a loop. Undefined without a subscriber. */
  run(message: TracedMessage, loop = false): RunTrace | undefined {
    if (!traces.process.hasSubscribers) return undefined;
    const { origin, queue } = this.#settings;
    const waitedMs = this.#waitedSince(message.deliveredAt);
    const payload = { ...origin.fields, ...fieldsOf(message), queue, waitedMs, loop };
    sideTable.subjects.set(payload, this.#subject(message));
    return new Trace(traces.process, payload);
  }

  /** A run of a handler on several messages. Undefined without a subscriber. */
  batch(messages: readonly TracedMessage[]): RunTrace | undefined {
    if (!traces.process.hasSubscribers) return undefined;
    const { origin, queue } = this.#settings;
    const entries = messages.map((message) => {
      const entry = fieldsOf(message);
      sideTable.subjects.set(entry, this.#subject(message));
      return entry;
    });
    const waitedMs = this.#waitedSince(Math.min(...messages.map(({ deliveredAt }) => deliveredAt)));
    const payload = { ...origin.fields, queue, waitedMs, loop: false, messages: entries };
    sideTable.subjects.set(payload, this.#subject(undefined));
    return new Trace(traces.process, payload);
  }

  /** True when verdicts have a subscriber. */
  get hearsVerdicts(): boolean {
    return traces.settle.hasSubscribers;
  }

  verdict(message: TracedMessage, verdict: TracedVerdict): VerdictTrace {
    const { origin, queue } = this.#settings;
    const payload = { ...origin.fields, ...fieldsOf(message), queue, ...verdict };
    sideTable.subjects.set(payload, this.#subject(message));
    return new Trace(traces.settle, payload);
  }

  #subject(message: object | undefined): Subject {
    const { queue, subscribedTo } = this.#settings;
    return { message, contract: subscribedTo ?? queue, isSubscription: subscribedTo !== undefined };
  }

  /** Never negative, even if the system clock is set back. */
  #waitedSince(deliveredAt: number): number {
    return Math.max(0, this.#settings.wallNow() - deliveredAt);
  }
}

function fieldsOf(message: TracedMessage): ConsumedMessageFields {
  const { id, correlationId, exchange, routingKey, headers, attempt, redelivered, delivery } = message;
  return {
    messageId: id,
    correlationId,
    exchange,
    routingKey,
    headers,
    attempt,
    redelivered,
    deliveryTag: delivery.deliveryTag,
  };
}
