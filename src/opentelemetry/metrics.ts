import {
  type Attributes,
  type Context,
  type Counter,
  type Histogram,
  type Meter,
  type MeterProvider,
  metrics,
} from '@opentelemetry/api';
import { VERSION } from '../version.js';

/** In seconds. */
const BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

interface Instruments {
  readonly provider: MeterProvider;
  readonly sent: Counter;
  readonly consumed: Counter;
  readonly operationDuration: Histogram;
  readonly processDuration: Histogram;
}

/** The four instruments, from the given provider or from the global one, which may be registered at any time. */
export class Metrics {
  #given: MeterProvider | undefined;
  #instruments: Instruments | undefined;

  use(provider: MeterProvider): void {
    this.#given = provider === metrics.getMeterProvider() ? undefined : provider;
  }

  sent(attributes: Attributes, context: Context): void {
    this.#current.sent.add(1, attributes, context);
  }

  consumed(count: number, attributes: Attributes, context: Context): void {
    this.#current.consumed.add(count, attributes, context);
  }

  operationTook(seconds: number, attributes: Attributes, context: Context): void {
    this.#current.operationDuration.record(seconds, attributes, context);
  }

  processTook(seconds: number, attributes: Attributes, context: Context): void {
    this.#current.processDuration.record(seconds, attributes, context);
  }

  get #current(): Instruments {
    const provider = this.#given ?? metrics.getMeterProvider();
    if (this.#instruments?.provider !== provider) this.#instruments = makeInstruments(provider);
    return this.#instruments as Instruments;
  }
}

function makeInstruments(provider: MeterProvider): Instruments {
  const meter = provider.getMeter('leveret', VERSION);
  return {
    provider,
    sent: meter.createCounter('messaging.client.sent.messages', {
      unit: '{message}',
      description: 'Messages and requests that were sent, or that it was tried to send.',
    }),
    consumed: meter.createCounter('messaging.client.consumed.messages', {
      unit: '{message}',
      description: 'Messages that were handed to a handler, a batch or a loop, and invalid ones.',
    }),
    operationDuration: duration(
      meter,
      'messaging.client.operation.duration',
      'How long sends, requests and verdicts took.',
    ),
    processDuration: duration(meter, 'messaging.process.duration', 'How long handlers and loop bodies took.'),
  };
}

function duration(meter: Meter, name: string, description: string): Histogram {
  return meter.createHistogram(name, {
    unit: 's',
    description,
    advice: { explicitBucketBoundaries: BOUNDARIES },
  });
}
