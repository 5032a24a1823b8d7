import type { Role } from '../transport/port.js';

/** The fields of every payload that identify its broker. */
export interface BrokerFields {
  /** The option `name` of the broker. */
  readonly broker: string | undefined;
  /** The host of the connection; before there is one, that of the first URL. `memory` for the embedded broker. */
  readonly serverAddress: string | undefined;
  readonly serverPort: number | undefined;
}

/** The fields that describe a message. No payload contains its body. */
export interface MessageFields {
  readonly messageId: string | undefined;
  readonly correlationId: string | undefined;
  /** The exchange that the sender named; empty for a message to a queue. */
  readonly exchange: string;
  /** The routing key that the sender named: for a message to a queue its name. */
  readonly routingKey: string;
}

/** The fields that describe a consumed message, besides {@link MessageFields}. */
export interface ConsumedMessageFields extends MessageFields {
  readonly headers: Readonly<Record<string, unknown>>;
  /** Which run of the handler this is, from 1. */
  readonly attempt: number;
  readonly redelivered: boolean;
  readonly deliveryTag: number;
}

/** The end of a trace, on the same object: one of the two, from its `error` or `asyncStart` event on. */
export interface TraceEnd<Result = never> {
  readonly result?: Result;
  /** Why it failed: the same error object that the caller receives. */
  readonly error?: unknown;
}

/** `leveret:connect`: one attempt at one host. */
export interface ConnectTrace extends BrokerFields, TraceEnd {
  readonly role: Role;
  /** Counts the attempts of one outage, from 1. */
  readonly attempt: number;
  /** False until this connection was open once. */
  readonly reconnect: boolean;
}

/** `leveret:send`: one `send`, from the call until it settles, with every resend; and each message of `sendAll`. */
export interface SendTrace extends BrokerFields, MessageFields, TraceEnd<{ readonly messageId: string }> {
  /** The name of the contract. */
  readonly destination: string;
  readonly kind: 'queue' | 'exchange';
  readonly delayMs: number | undefined;
  /** The headers that the message will carry: headers that a subscriber of `start` adds synchronously are sent. */
  readonly headers: Record<string, unknown>;
}

/** `leveret:request`: one `request`, from the call until the response. */
export interface RequestTrace extends BrokerFields, MessageFields, TraceEnd {
  /** The name of the procedure. */
  readonly destination: string;
  readonly kind: 'procedure';
  /** The headers that the request will carry: headers that a subscriber of `start` adds synchronously are sent. */
  readonly headers: Record<string, unknown>;
}

interface ProcessFields extends BrokerFields, TraceEnd {
  readonly queue: string;
  /** How long the message waited in this process, from its delivery, in milliseconds; for a batch, the longest wait. */
  readonly waitedMs: number;
  /** True for a message that was handed to a `for await` loop: its trace ends with its verdict. */
  readonly loop: boolean;
}

/** `leveret:process` of one message: one run of a handler, or the body of a loop. */
export interface ProcessMessageTrace extends ProcessFields, ConsumedMessageFields {
  readonly messages?: undefined;
}

/** `leveret:process` of a batch: one run of its handler. */
export interface ProcessBatchTrace extends ProcessFields {
  readonly messages: readonly ConsumedMessageFields[];
}

/** `leveret:process`. */
export type ProcessTrace = ProcessMessageTrace | ProcessBatchTrace;

/** `leveret:settle`: one verdict on one message, until it is carried out. */
export interface SettleTrace extends BrokerFields, ConsumedMessageFields, TraceEnd<boolean> {
  readonly queue: string;
  readonly verdict: 'ack' | 'retry' | 'dead-letter' | 'requeue';
  /** How long a retry waits. */
  readonly delayMs: number | undefined;
  /** The error or the text behind the verdict. */
  readonly reason: unknown;
}

/** The payloads of the tracing channels. */
export interface TracePayloads {
  'leveret:connect': ConnectTrace;
  'leveret:send': SendTrace;
  'leveret:request': RequestTrace;
  'leveret:process': ProcessTrace;
  'leveret:settle': SettleTrace;
}
