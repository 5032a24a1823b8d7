import { isDeepStrictEqual } from 'node:util';
import { amqpType } from './equivalence.js';
import { ServerRefusalError } from './server-refusal.js';

type Table = Readonly<Record<string, unknown>>;

const MODES = ['all', 'any', 'all-with-x', 'any-with-x'];

/** Refuses a binding that a headers exchange does not understand. */
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

/** Whether a message with these headers goes through a binding with these arguments. */
export function matchesHeaders(args: Table, headers: Table): boolean {
  const mode = (args['x-match'] ?? 'all') as string;
  const withX = mode.endsWith('-with-x');
  const wanted = Object.entries(args).filter(
    ([name]) => name !== 'x-match' && (withX || !name.startsWith('x-')),
  );
  const holds = ([name, value]: [string, unknown]) =>
    Object.hasOwn(headers, name) && (value === null || isDeepStrictEqual(headers[name], value));
  return mode.startsWith('any') ? wanted.some(holds) : wanted.every(holds);
}
