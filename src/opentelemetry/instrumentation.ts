import { type MeterProvider, type Tracer, type TracerProvider, trace } from '@opentelemetry/api';
import { type Traced, traces } from '../diagnostics/channels.js';
import { type Check, checkOptions, expectBoolean } from '../util/checks.js';
import { VERSION } from '../version.js';
import { Metrics } from './metrics.js';
import { Observer } from './observer.js';

/** The options of {@link LeveretInstrumentation}. */
export interface LeveretInstrumentationConfig {
  /** Starts recording at once. @defaultValue true */
  readonly enabled?: boolean | undefined;
  /**
   * Starts a new trace with each `process` span, linked to the sender's trace. For messages that handlers send again and
   * again, and whose traces would have no end. @defaultValue false
   */
  readonly useLinksForConsume?: boolean | undefined;
}

const checks: Readonly<Record<string, Check>> = {
  enabled: expectBoolean,
  useLinksForConsume: expectBoolean,
};

/**
 * Records spans and metrics for every broker in this process, made before or after.
 * It needs no loader hook, and the order of imports does not matter. Pass it to `NodeSDK` or `registerInstrumentations`.
 *
 * @example
 * ```ts
 * import { LeveretInstrumentation } from 'leveret/opentelemetry';
 *
 * const instrumentations = [new LeveretInstrumentation()];
 * ```
 */
export class LeveretInstrumentation {
  readonly instrumentationName = 'leveret';
  readonly instrumentationVersion: string = VERSION;
  readonly #metrics = new Metrics();
  readonly #observer: Observer;
  #config: Readonly<Record<keyof LeveretInstrumentationConfig, boolean>>;
  #tracerProvider: TracerProvider | undefined;
  #isEnabled = false;

  /** @throws ConfigurationError for an unknown option or a wrong value */
  constructor(config: LeveretInstrumentationConfig = {}) {
    this.#config = resolve(config);
    this.#observer = new Observer({
      tracer: () => this.#tracer,
      metrics: this.#metrics,
      useLinksForConsume: () => this.#config.useLinksForConsume,
    });
    if (this.#config.enabled) this.enable();
  }

  /** Starts recording. Harmless if it is recording already. */
  enable(): void {
    if (this.#isEnabled) return;
    this.#isEnabled = true;
    for (const [channel, listener] of this.#subscriptions) channel.subscribe(listener);
  }

  /** Stops recording, and stops writing into messages. Operations in progress are not ended. */
  disable(): void {
    if (!this.#isEnabled) return;
    this.#isEnabled = false;
    for (const [channel, listener] of this.#subscriptions) channel.unsubscribe(listener);
  }

  /**
   * Uses this provider instead of the global one. By default the global one is used, also when it is registered later or
   * replaced.
   */
  setTracerProvider(provider: TracerProvider): void {
    this.#tracerProvider = provider === trace.getTracerProvider() ? undefined : provider;
  }

  /**
   * Uses this provider instead of the global one. By default the global one is used, also when it is registered later or
   * replaced.
   */
  setMeterProvider(provider: MeterProvider): void {
    this.#metrics.use(provider);
  }

  /**
   * Replaces the options. `enabled` only changes the result of {@link LeveretInstrumentation.getConfig}: call `enable` and
   * `disable`.
   *
   * @throws ConfigurationError for an unknown option or a wrong value
   */
  setConfig(config: LeveretInstrumentationConfig): void {
    this.#config = resolve(config);
  }

  /** The options with their defaults filled in. */
  getConfig(): Readonly<Record<keyof LeveretInstrumentationConfig, boolean>> {
    return this.#config;
  }

  get #tracer(): Tracer {
    return (this.#tracerProvider ?? trace.getTracerProvider()).getTracer('leveret', VERSION);
  }

  /** Created once, because channels identify a listener by reference. */
  readonly #subscriptions = [
    on(traces.send, 'start', (payload) => this.#observer.sendStarted(payload)),
    on(traces.send, 'asyncEnd', (payload) => this.#observer.sendEnded(payload)),
    on(traces.request, 'start', (payload) => this.#observer.sendStarted(payload)),
    on(traces.request, 'asyncEnd', (payload) => this.#observer.sendEnded(payload)),
    on(traces.process, 'start', (payload) => this.#observer.runStarted(payload)),
    on(traces.process, 'asyncEnd', (payload) => this.#observer.runEnded(payload)),
    on(traces.settle, 'start', (payload) => this.#observer.verdictStarted(payload)),
    on(traces.settle, 'asyncEnd', (payload) => this.#observer.verdictEnded(payload)),
  ] as const;
}

type Listener = (payload: unknown) => void;

type Subscription = readonly [
  channel: { subscribe(listener: Listener): void; unsubscribe(listener: Listener): void },
  listener: Listener,
];

function on<Payload extends object>(
  channel: Traced<Payload>,
  event: 'start' | 'asyncEnd',
  listener: (payload: Payload) => void,
): Subscription {
  return [channel[event], (payload) => listener(payload as Payload)];
}

function resolve(
  config: LeveretInstrumentationConfig,
): Readonly<Record<keyof LeveretInstrumentationConfig, boolean>> {
  checkOptions('LeveretInstrumentation', config, checks);
  return { enabled: config.enabled ?? true, useLinksForConsume: config.useLinksForConsume ?? false };
}
