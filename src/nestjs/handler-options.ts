import { consumerChecks } from '../consumer/options/consumer-options.js';
import { ConfigurationError } from '../index.js';
import { responderChecks } from '../rpc/responder/responder.js';
import { type Check, checkOptions } from '../util/checks.js';
import type { HandlerDefinition } from './decorators.js';

/** Read by the decorator. Here, they are only known by name. */
const providerChecks: Readonly<Record<string, Check>> = { broker: () => undefined, scope: () => undefined };

const checks = {
  consumer: { ...consumerChecks, ...providerChecks },
  responder: { ...responderChecks, ...providerChecks },
};

/** The options of a guard around the handler, which the broker checks. */
const GUARD_OPTIONS: ReadonlySet<string> = new Set(['inbox', 'idempotency', 'idempotencyKey']);

/**
 * Checks the options of a decorator, those of its own included.
 *
 * @throws ConfigurationError for an unknown option or a value out of range
 */
export function checkHandlerOptions({ kind, contract, options }: HandlerDefinition): void {
  const where =
    kind === 'responder'
      ? `responder of the procedure '${contract.name}'`
      : `consumer of the ${contract.kind === 'queue' ? `queue '${contract.name}'` : `subscription to '${contract.exchange}'`}`;
  const own = Object.entries(options).filter(([name]) => kind === 'responder' || !GUARD_OPTIONS.has(name));
  checkOptions(where, Object.fromEntries(own), checks[kind]);
}

/** The same error, with the class in its message. */
export function namingClass(className: string, error: unknown): unknown {
  if (!(error instanceof ConfigurationError)) return error;
  const { option, message, code } = error;
  return new ConfigurationError(option, `${className}: ${message}`, { cause: error, code });
}
