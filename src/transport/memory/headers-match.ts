import { amqpType } from './equivalence.js';
import { ServerRefusalError } from './server-refusal.js';

type Table = Readonly<Record<string, unknown>>;

const MODES = ['all', 'any', 'all-with-x', 'any-with-x'];

/** Refuses a binding with invalid arguments for a headers exchange. */
export function checkHeadersBinding(args: Table): void {
  const mode = args['x-match'];
  if (mode === undefined) return;
  if (typeof mode !== 'string')
    throw new ServerRefusalError(
      406,
      `Invalid x-match field type ${amqpType(mode)} (value ${String(mode)}); expected longstr`,
    );
  if (!MODES.includes(mode))
    throw new ServerRefusalError(
      406,
      `Invalid x-match field value <<"${mode}">>; expected all, any, all-with-x, or any-with-x`,
    );
}

/** True if a message with these headers matches a binding with these arguments. */
export function matchesHeaders(args: Table, headers: Table): boolean {
  const mode = (args['x-match'] ?? 'all') as string;
  const withX = mode.endsWith('-with-x');
  const wanted = Object.entries(args).filter(
    ([name]) => name !== 'x-match' && (withX || !name.startsWith('x-')),
  );
  const holds = ([name, value]: [string, unknown]) =>
    Object.hasOwn(headers, name) && (value === null || term(headers[name]) === term(value));
  return mode.startsWith('any') ? wanted.some(holds) : wanted.every(holds);
}

/**
 * A value as text, so that two values compare as in the server. The server ignores the type of the value itself: an empty table equals
 * an empty array, and a text equals the same bytes. Within a table or an array it compares the types and the order, too.
 */
function term(value: unknown): string {
  if (typeof value === 'string') return `bytes ${Buffer.from(value).toString('hex')}`;
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`;
  // In a template, −0 is 0, as on the wire.
  if (typeof value !== 'object' || value === null) return `${value}`;
  const items = Array.isArray(value)
    ? value.map(typedTerm)
    : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)} ${typedTerm(item)}`);
  return `[${items.join()}]`;
}

function typedTerm(value: unknown): string {
  return `${amqpType(value)} ${term(value)}`;
}
