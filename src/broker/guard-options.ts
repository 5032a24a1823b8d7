import type { Message } from '../consumer/delivery/message.js';
import type { GivenGuardOptions } from '../consumer/options/arguments.js';
import type { HandlerOptions, ResolvedConsumerOptions } from '../consumer/options/consumer-options.js';
import type { MakeGuard } from '../consumer/workers/handler-guard.js';
import type { OutputOf, Schema } from '../contracts/body/schema.js';
import type { QueueContract } from '../contracts/types.js';
import { ConfigurationError } from '../errors.js';
import { IdempotencyGuard } from '../idempotency/idempotency-guard.js';
import type { IdempotencyOptions, IdempotencyStore } from '../idempotency/store.js';
import type { Inbox, InboxEngine } from '../inbox/inbox.js';
import { InboxGuard } from '../inbox/inbox-guard.js';
import type { IdempotencyKey } from '../inbox/message-key.js';
import { type Check, checkOptions, expectFunction, expectInteger, show } from '../util/checks.js';

/** The options of `broker.consumer(…)` with a handler that runs inside a transaction. */
export interface InboxConsumerOptions<S extends Schema, Tx>
  extends Omit<HandlerOptions<OutputOf<S>>, 'noAck'> {
  /**
   * Runs the handler inside a transaction that first records the message, and passes that transaction as the second argument.
   * What the handler writes through it is written once, however often the message is delivered. The message is acknowledged
   * after the commit.
   *
   * The queue has to outlive the consumer. Cannot be combined with `idempotency`.
   */
  readonly inbox: Inbox<Tx>;
  /** The id that identifies a message: 1 to 1 000 bytes of UTF-8, without U+0000. @defaultValue the message's own id */
  readonly idempotencyKey?: ((message: Message<OutputOf<S>>) => string) | undefined;
  readonly idempotency?: undefined;
  readonly noAck?: false | undefined;
}

/** The options of `broker.consumer(…)` with a handler whose effects lie outside of a database. */
export interface IdempotentConsumerOptions<S extends Schema>
  extends Omit<HandlerOptions<OutputOf<S>>, 'noAck'> {
  /**
   * Remembers which messages were handled: a message that is delivered again is acknowledged without running the handler.
   * **At least once, not exactly once**: if the process crashes between the effect and its record, the message is handled
   * again. For effects in a database, `inbox` promises more.
   *
   * The queue has to outlive the consumer. Cannot be combined with `inbox`.
   */
  readonly idempotency: IdempotencyOptions;
  /** The id that identifies a message: 1 to 1 000 bytes of UTF-8, without U+0000. @defaultValue the message's own id */
  readonly idempotencyKey?: ((message: Message<OutputOf<S>>) => string) | undefined;
  readonly inbox?: undefined;
  readonly noAck?: false | undefined;
}

/** The options of a consumer with a plain handler. These properties let TypeScript tell it from the others. */
export interface WithoutGuard {
  readonly inbox?: never | undefined;
  readonly idempotency?: never | undefined;
  readonly idempotencyKey?: never | undefined;
}

const guardChecks: Readonly<Record<string, Check>> = {
  inbox: (value) =>
    typeof (value as { readonly engine?: Partial<InboxEngine<unknown>> } | null)?.engine?.run === 'function'
      ? undefined
      : 'an inbox, such as postgresInbox(db)',
  idempotency: () => undefined,
  idempotencyKey: expectFunction,
};

const idempotencyChecks: Readonly<Record<string, Check>> = {
  store: (value) =>
    ['claim', 'renew', 'done', 'release'].every((name) =>
      isMethod((value as Readonly<Record<string, unknown>> | null)?.[name]),
    )
      ? undefined
      : 'a store with the functions claim, renew, done and release',
  ttlMs: expectInteger(1_000),
  leaseMs: expectInteger(1_000, 600_000),
};

const DAY_MS = 24 * 60 * 60_000;
const DEFAULT_IDLE_MS = 60_000;

/**
 * Checks the options that wrap a handler. Returns undefined if there are none.
 *
 * @throws ConfigurationError for a combination that is not allowed
 */
export function resolveGuard(
  contract: QueueContract,
  hasHandler: boolean,
  given: GivenGuardOptions,
  options: ResolvedConsumerOptions,
): MakeGuard | undefined {
  const { inbox, idempotency, idempotencyKey } = given;
  const where = `consumer of the queue '${contract.name}'`;
  checkOptions(where, { inbox, idempotency, idempotencyKey }, guardChecks);
  const refuse = (option: string, reason: string): never => {
    throw new ConfigurationError(option, `${where}: ${reason}`);
  };
  const option = inbox !== undefined ? 'inbox' : 'idempotency';
  if (inbox === undefined && idempotency === undefined) {
    if (idempotencyKey !== undefined)
      refuse('idempotencyKey', "'idempotencyKey' requires 'inbox' or 'idempotency'");
    return undefined;
  }
  if (inbox !== undefined && idempotency !== undefined)
    refuse('idempotency', "pass either 'inbox' or 'idempotency', not both");
  if (!hasHandler) refuse(option, `'${option}' requires a handler: a loop cannot be rolled back`);
  if (options.noAck)
    refuse('noAck', `'noAck' cannot be combined with '${option}': the server forgets what it delivers`);
  if (contract.type === 'stream') refuse(option, `'${option}' cannot be used on a stream`);
  if (contract.exclusive)
    refuse(option, `'${option}' requires a queue that outlives its consumer, got an exclusive one`);
  const common = { queue: contract.name, idempotencyKey: idempotencyKey as IdempotencyKey | undefined };
  if (inbox !== undefined) {
    const { engine } = inbox as Inbox<unknown>;
    const maxIdleMs = maxIdleOf(where, engine, options.handlerTimeoutMs);
    return (handler, events) => new InboxGuard({ ...common, engine, maxIdleMs, handler, events });
  }
  const { store, ttlMs = DAY_MS, leaseMs = 60_000 } = resolveIdempotency(where, idempotency);
  return (handler, events) => new IdempotencyGuard({ ...common, store, ttlMs, leaseMs, handler, events });
}

function maxIdleOf(where: string, { maxIdleMs }: InboxEngine<unknown>, handlerTimeoutMs: number): number {
  if (maxIdleMs === undefined) return Math.max(1_000, Math.min(DEFAULT_IDLE_MS, handlerTimeoutMs));
  if (maxIdleMs <= handlerTimeoutMs) return maxIdleMs;
  throw new ConfigurationError(
    'maxIdleMs',
    `${where}: option 'maxIdleMs' of the inbox must be at most 'handlerTimeoutMs', here ${handlerTimeoutMs}, got ${maxIdleMs}`,
  );
}

function resolveIdempotency(
  where: string,
  given: unknown,
): { store: IdempotencyStore; ttlMs?: number | undefined; leaseMs?: number | undefined } {
  if (typeof given !== 'object' || given === null)
    throw new ConfigurationError(
      'idempotency',
      `${where}: option 'idempotency' must be { store, ttlMs, leaseMs }, got ${show(given)}`,
    );
  checkOptions(`${where}: 'idempotency'`, given, idempotencyChecks);
  if (!('store' in given) || given.store === undefined)
    throw new ConfigurationError('store', `${where}: option 'idempotency' requires a 'store'`);
  return given as IdempotencyOptions;
}

function isMethod(value: unknown): boolean {
  return typeof value === 'function';
}
