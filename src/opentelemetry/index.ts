/**
 * OpenTelemetry spans, metrics and propagation for everything that Leveret does in a process.
 *
 * @packageDocumentation
 */

export { LeveretInstrumentation, type LeveretInstrumentationConfig } from './instrumentation.js';
export { messageContext } from './message-context.js';
