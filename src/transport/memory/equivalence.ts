import { ServerRefusalError } from './server-refusal.js';

/**
 * Compares a declaration with the existing queue or exchange, in the words of rabbit_misc:assert_args_equivalence.
 *
 * @param what - such as `queue 'emails'`
 */
export function assertEquivalent(what: string, name: string, received: unknown, current: unknown): void {
  if (received === current) return;
  const difference =
    received === undefined
      ? `received none but current is ${typed(current)}`
      : current === undefined
        ? `received ${typed(received)} but current is none`
        : `received '${String(received)}' but current is '${String(current)}'`;
  throw new ServerRefusalError(406, `inequivalent arg '${name}' for ${what} in vhost '/': ${difference}`);
}

function typed(value: unknown): string {
  return `the value '${String(value)}' of type '${amqpType(value)}'`;
}

/** The name of the type that amqplib encodes a value as. */
export function amqpType(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return 'longstr';
    case 'boolean':
      return 'bool';
    case 'number':
      if (!Number.isInteger(value)) return 'double';
      if (value >= -128 && value < 128) return 'byte';
      if (value >= -32_768 && value < 32_768) return 'short';
      return value >= -2_147_483_648 && value < 2_147_483_648 ? 'signedint' : 'long';
    default:
      return Array.isArray(value) ? 'array' : value === null || value === undefined ? 'void' : 'table';
  }
}
