import { isExchange, isProcedure, isQueue, isSubscription } from '../contracts/guards.js';
import { ConfigurationError } from '../index.js';
import { show } from '../util/checks.js';

const guards = {
  queue: isQueue,
  exchange: isExchange,
  subscription: isSubscription,
  procedure: isProcedure,
} as const;

type Kind = keyof typeof guards;

/** What takes a contract of each kind. */
const TAKEN_BY: Readonly<Record<Kind, string>> = {
  queue: '@Consumer and @InjectProducer take a queue',
  exchange: '@InjectProducer takes an exchange, and @Consumer a queue that is bound to it: exchange.queue(…)',
  subscription: 'Only @Consumer takes a subscription. To send, name its exchange',
  procedure: '@Responder and @InjectRequester take a procedure',
};

const CIRCULAR =
  'The likely cause is a circular import: put the contract into a file that imports neither a provider nor a module';

/**
 * Checks that a value is a contract of one of these kinds.
 *
 * @param option - the name of the argument
 * @param where - what the value was passed to
 * @throws ConfigurationError that says what takes the given kind, or that a contract is undefined in a circular import
 */
export function checkKind(option: string, where: string, value: unknown, kinds: readonly Kind[]): void {
  const kind = (Object.keys(guards) as Kind[]).find((it) => guards[it](value));
  if (kind && kinds.includes(kind)) return;
  const expected = kinds.map((it) => (it === 'exchange' ? `an ${it}` : `a ${it}`)).join(' or ');
  const { name, exchange } = Object(value) as { readonly name?: unknown; readonly exchange?: unknown };
  const got = kind
    ? `the ${kind} ${kind === 'subscription' ? `to ${show(exchange)}` : show(name)}. ${TAKEN_BY[kind]}`
    : `${show(value)}, which is no contract${value === undefined ? `. ${CIRCULAR}` : ''}`;
  throw new ConfigurationError(option, `${where}: expected ${expected}, got ${got}`);
}
