import { type Context, propagation, ROOT_CONTEXT, type SpanContext, trace } from '@opentelemetry/api';

type Headers = Readonly<Record<string, unknown>>;

/**
 * The context that a message carries, with any client as its sender: the root context if there is none, or if it is
 * malformed.
 */
export function contextIn(headers: Headers): Context {
  try {
    return propagation.extract(ROOT_CONTEXT, headers, getter);
  } catch {
    return ROOT_CONTEXT;
  }
}

/** The span that a context names; undefined if there is none. */
export function spanContextIn(context: Context): SpanContext | undefined {
  const found = trace.getSpanContext(context);
  return found && trace.isSpanContextValid(found) ? found : undefined;
}

/** Writes the context into the headers of a message. */
export function inject(context: Context, headers: Record<string, unknown>): void {
  propagation.inject(context, headers, {
    set: (carrier, key, value) => {
      carrier[key] = value;
    },
  });
}

const getter = {
  keys: (headers: Headers) => Object.keys(headers),
  get: (headers: Headers, key: string) => textOf(headers[key]),
};

/** Some clients write texts as bytes. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : undefined;
}
