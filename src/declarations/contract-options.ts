import { OWNED_ARGUMENTS } from '../contracts/queue-checks.js';
import type { TopologyStep } from '../contracts/topology.js';
import { PASSIVE } from '../transport/public-errors.js';
import { serverValue } from './server-values.js';

/** A step that can differ from the existing queue or exchange. */
export type DeclaringStep = Extract<TopologyStep, { readonly kind: 'queue' | 'exchange' }>;

/** The options of a contract, by their names in a declaration. */
const OPTIONS: ReadonlyMap<string, string> = new Map([
  ...OWNED_ARGUMENTS,
  ['durable', 'durable'],
  ['auto_delete', 'autoDelete'],
  ['exclusive', 'exclusive'],
  ['internal', 'internal'],
  ['type', 'type'],
  ['alternate-exchange', 'alternateExchange'],
  ['x-dead-letter-exchange', 'deadLetter'],
  ['x-dead-letter-routing-key', 'deadLetter'],
  ['x-dead-letter-strategy', 'deadLetter'],
]);

/** The advice for arguments that a contract sets by default: leaving them out changes nothing. */
const SET_BY_DEFAULT: ReadonlyMap<string, string> = new Map([
  ['x-queue-type', "type: 'classic'"],
  ['x-delivery-limit', PASSIVE],
  ['x-overflow', PASSIVE],
  ['x-dead-letter-exchange', 'deadLetter: false'],
  ['x-dead-letter-routing-key', 'deadLetter: false'],
  ['x-dead-letter-strategy', PASSIVE],
]);

/** The option of the contract that an argument comes from. */
export function optionOf({ kind }: DeclaringStep, argument: string): string {
  // The arguments of an exchange have the names of RabbitMQ, but for one.
  const option = kind === 'exchange' && argument.startsWith('x-') ? undefined : OPTIONS.get(argument);
  return option ?? 'arguments';
}

/**
 * The text for the contract that declares the existing value.
 *
 * @param existing - the existing values that differ, by argument
 */
export function adviceFor(
  step: DeclaringStep,
  argument: string,
  existing: ReadonlyMap<string, string>,
): string {
  const option = optionOf(step, argument);
  const value = serverValue(existing.get(argument) ?? '');
  if (!value) return PASSIVE;
  if (option === 'deadLetter') return deadLetterAdvice(existing);
  if (value.is === undefined) {
    // Without dead letters, a contract sets no overflow by default.
    if (argument === 'x-overflow' && existing.get('x-dead-letter-exchange') === 'none')
      return 'deadLetter: false';
    return SET_BY_DEFAULT.get(argument) ?? `no ${option === 'arguments' ? `'${argument}'` : option}`;
  }
  const text = typeof value.is === 'string' ? `'${value.is}'` : String(value.is);
  return option === 'arguments' ? `arguments: { '${argument}': ${text} }` : `${option}: ${text}`;
}

function deadLetterAdvice(existing: ReadonlyMap<string, string>): string {
  const exchange = existing.get('x-dead-letter-exchange');
  if (exchange === 'none') return 'deadLetter: false';
  // Only the server knows which queue an exchange other than the default one leads to.
  if (exchange !== undefined && serverValue(exchange)?.is !== '') return PASSIVE;
  const key = serverValue(existing.get('x-dead-letter-routing-key') ?? '')?.is;
  return key === undefined ? PASSIVE : `deadLetter: '${String(key)}'`;
}
