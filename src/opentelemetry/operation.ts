import {
  type Context,
  type Span,
  type SpanOptions,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { errorType } from './attributes.js';

/** One operation while it lasts: its span, and its duration. */
export class Operation {
  /** The context with the span and the contents of the base context. */
  readonly context: Context;
  readonly #span: Span;
  readonly #startedAt = Date.now();
  readonly #started = performance.now();

  /**
   * @param parent - the parent of the span
   * @param base - the base of the operation's own context
   */
  constructor(tracer: Tracer, name: string, options: SpanOptions, parent: Context, base = parent) {
    this.#span = tracer.startSpan(name, { ...options, startTime: this.#startedAt }, parent);
    this.context = trace.setSpan(base, this.#span);
  }

  /** The span within another base. */
  contextWithin(base: Context): Context {
    return trace.setSpan(base, this.#span);
  }

  fail(error: unknown): void {
    this.#span.setAttribute('error.type', errorType(error));
    this.#span.recordException(exceptionOf(error));
    const message = error instanceof Error ? error.message : undefined;
    this.#span.setStatus(
      message === undefined ? { code: SpanStatusCode.ERROR } : { code: SpanStatusCode.ERROR, message },
    );
  }

  /** Ends the span, and returns its duration in seconds. */
  end(): number {
    const tookMs = performance.now() - this.#started;
    this.#span.end(this.#startedAt + tookMs);
    return tookMs / 1_000;
  }
}

function exceptionOf(error: unknown): Error | string {
  if (error instanceof Error) return error;
  try {
    return String(error);
  } catch {
    return 'something that is no error was thrown';
  }
}
