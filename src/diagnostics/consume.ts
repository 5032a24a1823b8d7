import { traces } from './channels.js';
import type { TraceOrigin } from './origin.js';
import type { ConsumedMessageFields, ProcessTrace, SettleTrace } from './payloads.js';
import { sideTable } from './side-table.js';
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
}

/** Where the messages of one consumer are traced. */
export interface ConsumerOrigin {
  readonly origin: TraceOrigin;
  readonly queue: string;
}

/** One run: of a handler, or from handing a message to a loop to its verdict. */
export type RunTrace = Trace<ProcessTrace>;

/** @param waitedMs - since the delivery */
export function traceRun(
  { origin, queue }: ConsumerOrigin,
  message: TracedMessage,
  waitedMs: number,
  loop: boolean,
): RunTrace {
  const payload = { ...origin.fields, ...fieldsOf(message), queue, waitedMs, loop };
  sideTable.messages.set(payload, message);
  return new Trace(traces.process, payload);
}

/** @param waitedMs - since the delivery of the message that waited longest */
export function traceBatch(
  { origin, queue }: ConsumerOrigin,
  messages: readonly TracedMessage[],
  waitedMs: number,
): RunTrace {
  const entries = messages.map((message) => {
    const entry = fieldsOf(message);
    sideTable.messages.set(entry, message);
    return entry;
  });
  return new Trace(traces.process, { ...origin.fields, queue, waitedMs, loop: false, messages: entries });
}

/** What is to become of a message, as a trace tells it. */
export interface TracedVerdict {
  readonly verdict: SettleTrace['verdict'];
  readonly delayMs?: number | undefined;
  readonly reason?: unknown;
}

/** One verdict, until it is carried out. */
export type VerdictTrace = Trace<SettleTrace>;

export function traceVerdict(
  { origin, queue }: ConsumerOrigin,
  message: TracedMessage,
  { verdict, delayMs, reason }: TracedVerdict,
): VerdictTrace {
  const payload = { ...origin.fields, ...fieldsOf(message), queue, verdict, delayMs, reason };
  sideTable.messages.set(payload, message);
  return new Trace(traces.settle, payload);
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
