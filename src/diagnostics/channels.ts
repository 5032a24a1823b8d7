import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel';
import type { TracePayloads } from './payloads.js';

/**
 * The tracing channels. Node identifies channels by their names, so every copy of the package, ES module or CommonJS,
 * publishes on the same ones. Traced code checks `hasSubscribers` first, and does nothing else without a subscriber.
 */
export const traces = {
  connect: open('leveret:connect'),
  send: open('leveret:send'),
  request: open('leveret:request'),
  process: open('leveret:process'),
  settle: open('leveret:settle'),
} as const;

/** A tracing channel whose payload is known. */
export type Traced<Payload extends object> = TracingChannel<unknown, Payload> & {
  /** Node has it since 20.13; its declarations do not. */
  readonly hasSubscribers: boolean;
};

function open<Name extends keyof TracePayloads>(name: Name): Traced<TracePayloads[Name]> {
  return tracingChannel<unknown, TracePayloads[Name]>(name) as Traced<TracePayloads[Name]>;
}
