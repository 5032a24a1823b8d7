import { context, propagation, SpanKind, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { LeveretInstrumentation, type LeveretInstrumentationConfig } from 'leveret/opentelemetry';

/** A span, as far as tests look at it. */
export interface SeenSpan {
  readonly name: string;
  readonly kind: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  readonly links: readonly string[];
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly isError: boolean;
  readonly span: ReadableSpan;
}

/** The real SDK with exporters in memory, and the instrumentation on it. */
export class Telemetry implements AsyncDisposable {
  readonly exporter = new InMemorySpanExporter();
  readonly tracers = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.exporter)] });
  readonly metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  readonly reader = new PeriodicExportingMetricReader({
    exporter: this.metricExporter,
    exportIntervalMillis: 3_600_000,
  });
  readonly meters = new MeterProvider({ readers: [this.reader] });
  readonly instrumentation: LeveretInstrumentation;

  constructor(config: LeveretInstrumentationConfig = {}) {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(
      new CompositePropagator({
        propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()],
      }),
    );
    this.instrumentation = new LeveretInstrumentation(config);
    this.instrumentation.setTracerProvider(this.tracers);
    this.instrumentation.setMeterProvider(this.meters);
  }

  get tracer() {
    return this.tracers.getTracer('test');
  }

  /** The spans that have ended, in the order of their ends. */
  get spans(): readonly SeenSpan[] {
    return this.exporter.getFinishedSpans().map((span) => ({
      name: span.name,
      kind: SpanKind[span.kind],
      traceId: span.spanContext().traceId,
      spanId: span.spanContext().spanId,
      parentId: span.parentSpanContext?.spanId,
      links: span.links.map((link) => link.context.spanId),
      attributes: span.attributes,
      isError: span.status.code === 2,
      span,
    }));
  }

  named(name: string): readonly SeenSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  only(name: string): SeenSpan {
    const [span, ...others] = this.named(name);
    if (!span || others.length > 0)
      throw new Error(`expected one span '${name}', got ${this.spans.map((it) => it.name)}`);
    return span;
  }

  /** The points of a metric: its attributes, and how often it was counted or measured. */
  async points(name: string): Promise<readonly { readonly attributes: object; readonly count: number }[]> {
    await this.reader.forceFlush();
    const metrics =
      this.metricExporter
        .getMetrics()
        .at(-1)
        ?.scopeMetrics.flatMap((scope) => scope.metrics) ?? [];
    return metrics
      .filter(({ descriptor }) => descriptor.name === name)
      .flatMap(({ dataPoints }) =>
        dataPoints.map(({ attributes, value }) => ({
          attributes: { ...attributes },
          count: typeof value === 'number' ? value : (value as { count: number }).count,
        })),
      );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.instrumentation.disable();
    await this.tracers.shutdown();
    await this.meters.shutdown();
    context.disable();
    propagation.disable();
    trace.disable();
  }
}
