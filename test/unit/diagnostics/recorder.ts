import { channel } from 'node:diagnostics_channel';

const TRACES = ['connect', 'send', 'request', 'process', 'settle'] as const;
const KINDS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

export type TraceName = (typeof TRACES)[number];

/** One event of a trace. */
export interface Recorded {
  readonly trace: TraceName;
  readonly kind: (typeof KINDS)[number];
  readonly payload: Readonly<Record<string, unknown>>;
}

/** Listens to every tracing channel and keeps what it hears, in order. */
export class Recorder implements Disposable {
  readonly events: Recorded[] = [];
  readonly #unsubscribe: (() => void)[] = [];

  constructor(traces: readonly TraceName[] = TRACES) {
    for (const trace of traces) {
      for (const kind of KINDS) {
        const target = channel(`tracing:leveret:${trace}:${kind}`);
        const listener = (payload: unknown) => {
          this.events.push({ trace, kind, payload: payload as Recorded['payload'] });
        };
        target.subscribe(listener);
        this.#unsubscribe.push(() => target.unsubscribe(listener));
      }
    }
  }

  /** The payloads of the traces that have begun, in order. */
  begun(trace: TraceName): readonly Recorded['payload'][] {
    return this.events.filter((it) => it.trace === trace && it.kind === 'start').map((it) => it.payload);
  }

  /** `process:start` and so on, in order, without `end` and `asyncStart`. */
  order(): readonly string[] {
    return this.events
      .filter(({ kind }) => kind !== 'end' && kind !== 'asyncStart')
      .map(({ trace, kind }) => `${trace}:${kind}`);
  }

  /** What the rules of tracing channels forbid. */
  complaints(): readonly string[] {
    const byPayload = new Map<object, Recorded[]>();
    for (const event of this.events) {
      byPayload.set(event.payload, [...(byPayload.get(event.payload) ?? []), event]);
    }
    return [...byPayload.values()].flatMap((events) => {
      const kinds = events.map(({ kind }) => kind);
      const [{ trace, payload }] = events as [Recorded];
      const where = `${trace} (${kinds.join(', ')}): `;
      const complaints: string[] = [];
      const failed = 'error' in payload;
      const expected = failed
        ? ['start', 'end', 'error', 'asyncStart', 'asyncEnd']
        : ['start', 'end', 'asyncStart', 'asyncEnd'];
      if (kinds.join() !== expected.join()) complaints.push(`${where}expected ${expected.join(', ')}`);
      if (new Set(events.map((it) => it.trace)).size > 1)
        complaints.push(`${where}one payload on two channels`);
      if (failed && 'result' in payload) complaints.push(`${where}both a result and an error`);
      const missing = fieldsOf(trace, payload).filter((field) => !Object.hasOwn(payload, field));
      if (missing.length > 0) complaints.push(`${where}no ${missing.join(', ')}`);
      for (const field of ['body', 'raw', 'content'])
        if (field in payload) complaints.push(`${where}${field}`);
      return complaints;
    });
  }

  [Symbol.dispose](): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }
}

const COMMON = ['broker', 'serverAddress', 'serverPort'];
const MESSAGE = ['messageId', 'correlationId', 'exchange', 'routingKey', 'headers'];
const CONSUMED = [...MESSAGE, 'attempt', 'redelivered', 'deliveryTag'];

function fieldsOf(trace: TraceName, payload: object): readonly string[] {
  switch (trace) {
    case 'connect':
      return [...COMMON, 'role', 'attempt', 'reconnect'];
    case 'send':
      return [...COMMON, ...MESSAGE, 'destination', 'kind', 'delayMs'];
    case 'request':
      return [...COMMON, ...MESSAGE, 'destination', 'kind'];
    case 'process':
      return [...COMMON, 'queue', 'waitedMs', 'loop', ...('messages' in payload ? ['messages'] : CONSUMED)];
    case 'settle':
      return [...COMMON, ...CONSUMED, 'queue', 'verdict', 'delayMs', 'reason'];
  }
}
