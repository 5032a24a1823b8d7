import { randomUUID } from 'node:crypto';
import { ConfigurationError } from '../errors.js';
import {
  type Check,
  checkOptions,
  either,
  expectBoolean,
  expectName,
  expectOneOf,
  expectRecord,
  expectShortString,
  show,
} from '../util/checks.js';
import { expectTable } from '../util/table-check.js';
import { expectContentTypes, resolveContentTypes } from './body/content-types.js';
import type { CodecName, Travelling } from './body/json.js';
import type { InputOf, Schema } from './body/schema.js';
import { declareOf, makeQueue } from './queue.js';
import {
  checkBindings,
  checkMatch,
  checkName,
  checkSchema,
  expectBindingList,
  expectExchangeOrName,
} from './queue-checks.js';
import type { Binding, ExchangeContract, ExchangeType, QueueContract, SubscriptionOptions } from './types.js';

/** The options of {@link exchange}. */
export interface ExchangeOptions<T extends ExchangeType = ExchangeType, C extends CodecName = 'json'> {
  /** How the exchange selects the queues for a message. @defaultValue 'topic' */
  readonly type?: T | undefined;
  /** Survives a restart of the server. @defaultValue true */
  readonly durable?: boolean | undefined;
  /** Deleted when its last binding is removed. @defaultValue false */
  readonly autoDelete?: boolean | undefined;
  /** Takes messages from other exchanges only. @defaultValue false */
  readonly internal?: boolean | undefined;
  /** The exchange that receives messages which no queue of this one takes: its contract or its name. */
  readonly alternateExchange?: ExchangeContract | string | undefined;
  /**
   * Exchanges that this one receives messages from, in addition to direct publishes: a message that matches a binding
   * continues as if it had been published here. Their bodies must match this exchange's schema, since its consumers validate
   * them.
   */
  readonly bindings?: readonly Binding[] | undefined;
  /** How bodies are encoded: JSON, UTF-8 text or bytes. @defaultValue 'json' */
  readonly codec?: C | undefined;
  /**
   * Which content types of other clients are decoded with this codec, also by the queues of this exchange; see {@link
   * QueueOptions}.
   */
  readonly contentTypes?: 'any' | readonly string[] | undefined;
  /**
   * `true` declares the exchange on first use; `'passive'` only checks that it exists; `false` uses it as it is.
   * @defaultValue true
   */
  readonly declare?: boolean | 'passive' | undefined;
  /** Further arguments for the server, passed unchanged. */
  readonly arguments?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Describes an exchange. Pure data: nothing is sent until a broker uses it.
 *
 * @param name - the exchange's name, 1 to 255 bytes without line ends; `amq.topic` and the like exist on every server and can be
 * used with `declare: false` or `'passive'`
 * @param schema - any Standard Schema whose input is JSON (or as `codec` says)
 * @param options - its type and how it is declared
 * @throws ConfigurationError for a bad name, an unknown option or a value out of range
 *
 * @example
 * ```ts
 * const orders = exchange('orders', z.object({ id: z.string(), total: z.number() }), { type: 'topic' });
 * const billing = orders.queue('billing', 'eu.*');
 * ```
 */
export function exchange<
  S extends Schema,
  const T extends ExchangeType = 'topic',
  C extends CodecName = 'json',
>(
  name: string,
  schema: S & Travelling<InputOf<S>, C>,
  options: ExchangeOptions<T, C> = {},
): ExchangeContract<S, T> {
  checkName('exchange', name, declareOf(options));
  checkSchema('exchange', name, schema);
  checkExchangeOptions(name, options);
  const type = options.type ?? ('topic' as T);
  const codec: CodecName = options.codec ?? 'json';
  const contentTypes = resolveContentTypes(options.contentTypes);
  const contract: ExchangeContract<S, T> = {
    kind: 'exchange',
    name,
    schema,
    type,
    codec,
    contentTypes,
    durable: options.durable ?? true,
    autoDelete: options.autoDelete ?? false,
    internal: options.internal ?? false,
    alternateExchange: options.alternateExchange,
    bindings: [...(options.bindings ?? [])],
    declare: options.declare ?? true,
    arguments: Object.freeze({ ...options.arguments }),
    queue: (queueName, ...args) => {
      const where = `exchange('${name}').queue(${show(queueName)})`;
      const { bindings, rest } = bindingsOf(contract as ExchangeContract, where, args);
      const expected = expectRecord(rest);
      if (expected)
        throw new ConfigurationError(where, `${where}: expected an options object, got ${show(rest)}`);
      checkBoundOptions(where, rest);
      return makeQueue(queueName, schema, { ...rest, codec, contentTypes, bindings }) as QueueContract<S>;
    },
    subscription: (...args) => {
      const where = `exchange('${name}').subscription(…)`;
      const { bindings, rest } = bindingsOf(contract as ExchangeContract, where, args);
      checkOptions(where, rest, subscriptionChecks);
      const { deadLetter = false } = rest as SubscriptionOptions;
      const given = { ...rest, ...PRIVATE, deadLetter, codec, contentTypes, bindings };
      const toQueue = () => makeQueue(privatePrefix(name) + randomUUID(), schema, given) as QueueContract<S>;
      // Reports wrong options now rather than at first use.
      toQueue();
      return Object.freeze({ kind: 'subscription', exchange: name, schema, toQueue });
    },
  };
  return Object.freeze(contract);
}

const exchangeChecks: Readonly<Record<string, Check>> = {
  type: expectOneOf('topic', 'direct', 'fanout', 'headers'),
  durable: expectBoolean,
  autoDelete: expectBoolean,
  internal: expectBoolean,
  alternateExchange: expectExchangeOrName,
  bindings: expectBindingList,
  codec: expectOneOf('json', 'text', 'bytes'),
  contentTypes: expectContentTypes,
  declare: either(expectBoolean, expectOneOf('passive')),
  arguments: expectTable,
};

function checkExchangeOptions(
  name: string,
  options: { readonly bindings?: readonly Binding[] | undefined },
): void {
  const where = `exchange('${name}')`;
  checkOptions(where, options, exchangeChecks);
  checkBindings(where, options.bindings);
  for (const { exchange } of options.bindings ?? []) {
    if ((typeof exchange === 'string' ? exchange : exchange.name) === name)
      throw new ConfigurationError('bindings', `${where}: an exchange cannot be bound to itself`);
  }
}

/** The values are checked when the queue is created, except the option that would leave a queue behind for each consumer. */
const subscriptionChecks: Readonly<Record<string, Check>> = {
  ...Object.fromEntries(
    ['arguments', 'maxLength', 'maxLengthBytes', 'messageTtlMs', 'overflow', 'retry'].map((key) => [
      key,
      () => undefined,
    ]),
  ),
  deadLetter: either(expectName, expectOneOf(false)),
};

/** @throws ConfigurationError for an option that the exchange determines */
function checkBoundOptions(where: string, options: object): void {
  const [key] =
    Object.entries(options).find(([name, value]) => Object.hasOwn(DECIDED, name) && value !== undefined) ??
    [];
  if (key === undefined) return;
  const reason = DECIDED[key as keyof typeof DECIDED];
  throw new ConfigurationError(key, `${where}: '${key}' cannot be set on an exchange's queue: ${reason}`);
}

const DECIDED = {
  codec: 'it is that of the exchange',
  contentTypes: 'they are those of the exchange',
  bindings: "it is bound to the exchange by what stands before the options; queue() takes more 'bindings'",
};

/** Deleted together with the connection that declared it. */
const PRIVATE = { type: 'classic', durable: false, exclusive: true, autoDelete: true } as const;

/**
 * @internal The exchange of the subscription that the queue belongs to; undefined for any other queue. Checks the shape,
 * since another copy of the package may have created it.
 */
export function subscribedExchangeOf({
  name,
  bindings: [binding],
  ...queue
}: QueueContract): string | undefined {
  if (!queue.exclusive || !queue.autoDelete || typeof binding?.exchange !== 'object') return undefined;
  const { name: exchange } = binding.exchange;
  return PRIVATE_NAME.test(name) && name.startsWith(privatePrefix(exchange)) ? exchange : undefined;
}

const PRIVATE_NAME = /\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The exchange's name, cut to leave room within 255 bytes for a unique suffix. Without the server's own prefix, which no
 * declared queue may have.
 */
function privatePrefix(exchange: string): string {
  return `${Buffer.from(exchange.replace(/^(?:amq\.)+/, ''))
    .toString('utf8', 0, 200)
    .replace(/\ufffd$/, '')}.`;
}

function bindingsOf(exchange: ExchangeContract, where: string, args: readonly unknown[]) {
  if (exchange.type === 'fanout') {
    return { bindings: [{ exchange }], rest: (args[0] ?? {}) as object };
  }
  const [first, rest = {}] = args;
  if (exchange.type === 'headers') {
    const expected = expectTable(first);
    if (expected)
      throw new ConfigurationError(
        'match',
        `${where}: the headers to match must be ${expected}, got ${show(first)}`,
      );
    const match = first as Record<string, unknown>;
    checkMatch(where, match);
    return { bindings: [{ exchange, arguments: match }], rest: rest as object };
  }
  const keys: unknown[] = Array.isArray(first) ? first : [first];
  if (keys.length === 0)
    throw new ConfigurationError('routingKey', `${where}: at least one routing key is needed`);
  for (const key of keys) {
    const expected = expectShortString({ empty: true })(key);
    if (expected) {
      throw new ConfigurationError(
        'routingKey',
        `${where}: the routing key must be ${expected}, got ${show(key)}`,
      );
    }
  }
  return {
    bindings: keys.map((routingKey) => ({ exchange, routingKey: routingKey as string })),
    rest: rest as object,
  };
}
