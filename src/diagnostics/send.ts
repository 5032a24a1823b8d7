import { randomUUID } from 'node:crypto';
import { traces } from './channels.js';
import type { TraceOrigin } from './origin.js';
import type { RequestTrace, SendTrace } from './payloads.js';
import { Trace } from './trace.js';

/** The arguments of `send` or `request` before they are checked, and so of any type. */
interface Given {
  readonly messageId?: unknown;
  readonly correlationId?: unknown;
  readonly headers?: unknown;
  readonly routingKey?: unknown;
  readonly delayMs?: unknown;
  readonly deliverAt?: unknown;
}

/** The options that replace the caller's. */
export interface TracedOptions<Options> {
  readonly options: Options | undefined;
  /** The id that the trace reports. */
  readonly messageId: string;
}

/** The target of a send. */
export interface SendTarget {
  readonly kind: 'queue' | 'exchange';
  readonly name: string;
}

/** Traces one send, from before its options are checked until it settles. */
export function traceSend<Options extends object, Receipt extends { readonly messageId: string }>(
  origin: TraceOrigin,
  { kind, name }: SendTarget,
  options: Options | undefined,
  wallNow: number,
  send: (traced: TracedOptions<Options>) => Promise<Receipt>,
): Promise<Receipt> {
  const given = givenIn(options);
  const messageId = textIn(given.messageId) ?? randomUUID();
  const payload: SendTrace = {
    ...origin.fields,
    messageId,
    correlationId: textIn(given.correlationId),
    exchange: kind === 'queue' ? '' : name,
    routingKey: kind === 'queue' ? name : (textIn(given.routingKey) ?? ''),
    headers: freshHeaders(given.headers),
    destination: name,
    kind,
    delayMs: delayOf(given, wallNow),
  };
  return new Trace(traces.send, payload).follow(
    () => send({ options: withHeaders(options, payload.headers), messageId }),
    (receipt) => ({ messageId: receipt.messageId }),
  );
}

/** Traces one request, from before its options are checked until its response. */
export function traceRequest<Options extends object, Answer>(
  origin: TraceOrigin,
  procedure: string,
  options: Options | undefined,
  request: (traced: TracedOptions<Options>) => Promise<Answer>,
): Promise<Answer> {
  const given = givenIn(options);
  const messageId = randomUUID();
  const payload: RequestTrace = {
    ...origin.fields,
    messageId,
    correlationId: textIn(given.correlationId) ?? messageId,
    exchange: '',
    routingKey: procedure,
    headers: freshHeaders(given.headers),
    destination: procedure,
    kind: 'procedure',
  };
  return new Trace(traces.request, payload).follow(() =>
    request({ options: withHeaders(options, payload.headers), messageId }),
  );
}

function givenIn(options: unknown): Given {
  return typeof options === 'object' && options !== null ? options : {};
}

function textIn(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/**
 * A new object with the message's headers, because the caller's object is never changed. The checks report values that cannot
 * be headers.
 */
function freshHeaders(headers: unknown): Record<string, unknown> {
  return isTable(headers) ? { ...headers } : {};
}

/** The options in the form in which they are sent. A copy again: headers that a subscriber adds later are not sent. */
function withHeaders<Options extends object>(
  options: Options | undefined,
  headers: Readonly<Record<string, unknown>>,
): Options | undefined {
  const { headers: given } = givenIn(options);
  const isWrong = (given !== undefined && !isTable(given)) || (options !== undefined && !isTable(options));
  if (isWrong || (given === undefined && Object.keys(headers).length === 0)) return options;
  return { ...options, headers: { ...headers } } as Options & { headers: unknown };
}

function isTable(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !(Symbol.iterator in value);
}

function delayOf({ delayMs, deliverAt }: Given, wallNow: number): number | undefined {
  if (typeof delayMs === 'number') return delayMs;
  return deliverAt instanceof Date ? Math.max(0, deliverAt.getTime() - wallNow) : undefined;
}
