import { ConfigurationError } from '../errors.js';
import {
  type Check,
  checkOptions,
  either,
  expectBoolean,
  expectFunction,
  expectInteger,
  expectName,
  expectNumber,
  expectOneOf,
  expectRecord,
  expectShortString,
  show,
} from '../util/checks.js';
import { MAX_DELAY_MS } from '../util/limits.js';
import { expectTable } from '../util/table-check.js';
import { type ContentTypes, expectContentTypes } from './body/content-types.js';
import type { CodecName } from './body/json.js';
import { isSchema } from './body/schema.js';
import { isExchange, isQueue } from './guards.js';
import type { Binding, QueueContract, QueueType, RetryOptions } from './types.js';

/** @internal */
export const expectExchangeOrName: Check = either(expectName, (value) =>
  isExchange(value) ? undefined : 'an exchange contract',
);

const bindingChecks: Readonly<Record<string, Check>> = {
  exchange: expectExchangeOrName,
  routingKey: expectShortString({ empty: true }),
  arguments: expectTable,
};

const retryChecks: Readonly<Record<string, Check>> = {
  attempts: expectInteger(1, 10_000),
  initialDelayMs: expectNumber(0, MAX_DELAY_MS),
  factor: expectNumber(1, 100),
  maxDelayMs: expectNumber(0, MAX_DELAY_MS),
  jitter: expectBoolean,
  retryIf: expectFunction,
};

const queueChecks: Readonly<Record<string, Check>> = {
  type: expectOneOf('quorum', 'classic', 'stream'),
  codec: expectOneOf('json', 'text', 'bytes'),
  contentTypes: expectContentTypes,
  durable: expectBoolean,
  exclusive: expectBoolean,
  autoDelete: expectBoolean,
  bindings: (value) => expectBindingList(value),
  retry: either(expectRecord, expectOneOf(false)),
  deadLetter: either(either(expectBoolean, expectName), (value) =>
    isQueue(value) && !value.exclusive ? undefined : 'the contract of a queue that is not exclusive',
  ),
  messageTtlMs: expectInteger(0, 2 ** 32 - 1),
  expiresMs: expectInteger(1, 2 ** 32 - 1),
  maxLength: expectInteger(0),
  maxLengthBytes: expectInteger(0),
  overflow: expectOneOf('drop-head', 'reject-publish', 'reject-publish-dlx'),
  maxPriority: expectInteger(1, 255),
  singleActiveConsumer: expectBoolean,
  deliveryLimit: expectInteger(0, 1_000_000),
  declare: either(expectBoolean, expectOneOf('passive')),
  arguments: expectTable,
};

/** The options that each queue type refuses, with the values that are harmless. RabbitMQ responds to these with an error. */
const refusedBy: Readonly<Record<QueueType, Readonly<Record<string, readonly unknown[]>>>> = {
  quorum: { durable: [true], exclusive: [false], autoDelete: [false], maxPriority: [] },
  classic: { deliveryLimit: [] },
  stream: {
    durable: [true],
    exclusive: [false],
    autoDelete: [false],
    maxLength: [],
    messageTtlMs: [],
    expiresMs: [],
    overflow: [],
    maxPriority: [],
    singleActiveConsumer: [],
    deliveryLimit: [],
  },
};

/** The arguments that RabbitMQ 3.10 and 4.3 both refuse for a type of queue, with 406. */
const argumentsRefusedBy: Readonly<Record<QueueType, ReadonlySet<string>>> = {
  quorum: new Set([
    'x-queue-mode',
    'x-queue-version',
    'x-max-age',
    'x-stream-max-segment-size-bytes',
    'x-initial-cluster-size',
  ]),
  classic: new Set([
    'x-dead-letter-strategy',
    'x-max-age',
    'x-stream-max-segment-size-bytes',
    'x-quorum-initial-group-size',
    'x-max-in-memory-length',
    'x-max-in-memory-bytes',
    'x-initial-cluster-size',
  ]),
  stream: new Set([
    'x-dead-letter-exchange',
    'x-dead-letter-routing-key',
    'x-dead-letter-strategy',
    'x-queue-mode',
    'x-queue-version',
    'x-quorum-initial-group-size',
    'x-max-in-memory-length',
    'x-max-in-memory-bytes',
  ]),
};

/** Every option of any queue type, before the combination is checked. */
export interface AnyQueueOptions {
  type?: QueueType | undefined;
  codec?: CodecName | undefined;
  contentTypes?: ContentTypes | undefined;
  durable?: boolean | undefined;
  exclusive?: boolean | undefined;
  autoDelete?: boolean | undefined;
  bindings?: readonly Binding[] | undefined;
  retry?: RetryOptions | false | undefined;
  deadLetter?: boolean | string | QueueContract | undefined;
  messageTtlMs?: number | undefined;
  expiresMs?: number | undefined;
  maxLength?: number | undefined;
  maxLengthBytes?: number | undefined;
  overflow?: string | undefined;
  maxPriority?: number | undefined;
  singleActiveConsumer?: boolean | undefined;
  deliveryLimit?: number | undefined;
  declare?: boolean | 'passive' | undefined;
  arguments?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Checks all options passed to `queue()`.
 *
 * @throws ConfigurationError
 */
export function checkQueueOptions(where: string, given: object): asserts given is AnyQueueOptions {
  checkOptions(where, given, queueChecks);
  const options: AnyQueueOptions = given;
  checkCombination(where, options.type ?? 'quorum', options);
  if (options.retry) checkOptions(`${where}: retry`, options.retry, retryChecks);
  checkBindings(where, options.bindings);
}

/** @internal Checks bindings that are an array already. */
export function checkBindings(where: string, bindings: readonly Binding[] = []): void {
  for (const binding of bindings) {
    checkOptions(`${where}: bindings`, binding ?? null, bindingChecks);
    if (binding.exchange === undefined) {
      throw new ConfigurationError('exchange', `${where}: bindings: each needs an 'exchange'`);
    }
    if (isExchange(binding.exchange) && binding.exchange.type === 'headers')
      checkMatch(`${where}: bindings`, binding.arguments);
  }
}

const MATCHES: readonly unknown[] = ['all', 'any', 'all-with-x', 'any-with-x'];

/** @internal Checks how the binding of a headers exchange matches. */
export function checkMatch(where: string, args: Readonly<Record<string, unknown>> = {}): void {
  const match = args['x-match'];
  if (match === undefined || MATCHES.includes(match)) return;
  const expected = MATCHES.map(show).join(', ');
  throw new ConfigurationError('match', `${where}: 'x-match' must be one of ${expected}, got ${show(match)}`);
}

/** @internal */
export const expectBindingList: Check = (value) =>
  Array.isArray(value) ? undefined : 'an array of { exchange, routingKey }';

/**
 * @internal
 * @param declare - the contract's `declare`: a name that the server generated can be used, but never declared
 */
export function checkName(what: string, name: unknown, declare: unknown = true): asserts name is string {
  const expected = expectName(name);
  const named = `The name of ${what === 'exchange' ? 'an' : 'a'} ${what}`;
  if (expected) throw new ConfigurationError('name', `${named} must be ${expected}, got ${show(name)}`);
  if (declare !== false && declare !== 'passive' && (name as string).startsWith('amq.')) {
    throw new ConfigurationError(
      'name',
      `${named} cannot begin with 'amq.' when it is declared, since such names belong to the server: '${name}'. ` +
        `To use what the server made, set 'declare: false' or 'declare: 'passive''`,
    );
  }
}

/** @internal */
export function checkSchema(what: string, name: string, schema: unknown, option = 'schema'): void {
  if (isSchema(schema)) return;
  const which = option === 'schema' ? '' : `option '${option}': `;
  throw new ConfigurationError(
    option,
    `${what}('${name}'): ${which}expected a Standard Schema, such as zod's z.object({ … }), got ${show(schema)}`,
  );
}

function checkCombination(where: string, type: QueueType, options: AnyQueueOptions): void {
  for (const [key, harmless] of Object.entries(refusedBy[type])) {
    const value = options[key as keyof AnyQueueOptions];
    if (value !== undefined && !harmless.includes(value)) {
      throw new ConfigurationError(
        key,
        `${where}: a ${type} queue cannot have '${key}: ${String(value)}'. ${ADVICE}`,
      );
    }
  }
  if (type === 'quorum' && options.overflow === 'reject-publish-dlx') {
    throw new ConfigurationError(
      'overflow',
      `${where}: a quorum queue accepts overflow 'reject-publish-dlx' and ignores it. Use 'reject-publish', or another 'type'`,
    );
  }
  const maxAge = options.arguments?.['x-max-age'];
  if (type === 'stream' && maxAge !== undefined && !/^\d+[YMDhms]$/.test(String(maxAge))) {
    // Servers before 4.3 close the whole connection over it.
    throw new ConfigurationError(
      'arguments',
      `${where}: 'x-max-age' must be a number and one of the units Y, M, D, h, m, s, such as '7D', got ${show(maxAge)}`,
    );
  }
  checkArguments(where, type, options);
}

function checkArguments(where: string, type: QueueType, options: AnyQueueOptions): void {
  const { arguments: args = {}, deadLetter } = options;
  const refuse = (text: string): never => {
    throw new ConfigurationError('arguments', `${where}: ${text}`);
  };
  for (const [key, value] of Object.entries(args)) {
    if (value === undefined) continue;
    if (OWNED_ARGUMENTS.has(key)) refuse(`'${key}' has an option of its own: ${OWNED_ARGUMENTS.get(key)}`);
    if (argumentsRefusedBy[type].has(key)) refuse(`a ${type} queue cannot have '${key}'. ${ADVICE}`);
  }
  const hasNoTarget = deadLetter === false && args['x-dead-letter-exchange'] === undefined;
  if (hasNoTarget && args['x-dead-letter-routing-key'] !== undefined)
    refuse(`'x-dead-letter-routing-key' needs 'x-dead-letter-exchange'`);
}

const ADVICE = "RabbitMQ refuses it: leave it out, or choose another 'type'.";

/** The options of a contract that set an argument of the queue. */
export const OWNED_ARGUMENTS: ReadonlyMap<string, string> = new Map([
  ['x-queue-type', 'type'],
  ['x-message-ttl', 'messageTtlMs'],
  ['x-expires', 'expiresMs'],
  ['x-max-length', 'maxLength'],
  ['x-max-length-bytes', 'maxLengthBytes'],
  ['x-overflow', 'overflow'],
  ['x-max-priority', 'maxPriority'],
  ['x-single-active-consumer', 'singleActiveConsumer'],
  ['x-delivery-limit', 'deliveryLimit'],
]);
