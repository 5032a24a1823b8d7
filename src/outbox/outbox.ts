import type { InputOf } from '../contracts/body/schema.js';
import type { ExchangeContract } from '../contracts/exchange.js';
import type { Contract } from '../contracts/topology.js';
import type { Receipt } from '../producer/publisher/pending-send.js';
import type { SendOptions } from '../producer/send-options.js';
import type { RelayStore } from './relay-store.js';

/** The options of `outbox.send`: those of `producer.send`, without `timeoutMs` and `signal`, and a key. */
export interface OutboxSendOptions extends Omit<SendOptions, 'timeoutMs' | 'signal'> {
  /**
   * Rows with one key are sent in the order of their commits, whatever their contracts, when their transactions exclude each
   * other from before `send` until they commit. 1 to 255 characters. Without a key a row waits for no other.
   */
  readonly key?: string | undefined;
}

/** {@link OutboxSendOptions}, with a routing key where the exchange looks at one. */
export type OutboxOptionsOf<C extends Contract> =
  C extends ExchangeContract<infer _S, infer T>
    ? T extends 'topic' | 'direct'
      ? OutboxSendOptions & { readonly routingKey: string }
      : OutboxSendOptions & { readonly routingKey?: never }
    : OutboxSendOptions & { readonly routingKey?: never };

/** What `outbox.send` takes after the body. */
export type OutboxSendArguments<C extends Contract> =
  Record<never, never> extends OutboxOptionsOf<C>
    ? [options?: OutboxOptionsOf<C>]
    : [options: OutboxOptionsOf<C>];

/** What `outbox.sendAll` takes after the bodies: options for all, or a function that makes those of each. */
export type OutboxSendAllArguments<C extends Contract> =
  Record<never, never> extends OutboxOptionsOf<C>
    ? [options?: OutboxOptionsOf<C> | ((body: InputOf<C['schema']>, index: number) => OutboxOptionsOf<C>)]
    : [options: OutboxOptionsOf<C> | ((body: InputOf<C['schema']>, index: number) => OutboxOptionsOf<C>)];

/**
 * Messages that are committed together with the user's own rows, and sent afterwards by a {@link Relay}: at least once, or
 * never when the transaction is rolled back. Pure data: it holds no connection. Made by `postgresOutbox(…)` or
 * `memoryOutbox(…)`.
 */
export interface Outbox<C extends Contract = Contract> {
  /**
   * Inserts one message, in the transaction that `tx` stands for. Everything is checked before `tx` is touched, so that the
   * transaction is still usable after a refused body. An error of the database comes through as the driver made it.
   *
   * @param tx - whatever runs SQL inside the open transaction
   * @throws ConfigurationError for a wrong `tx`, contract or option; ValidationError, MessageTooLargeError for the body
   */
  send<K extends C>(
    tx: object,
    contract: K,
    body: InputOf<K['schema']>,
    ...options: OutboxSendArguments<K>
  ): Promise<Receipt>;
  /**
   * Inserts up to 10 000 messages with one statement. All are checked first: when one is wrong, none is inserted.
   *
   * @throws as `send`; the path of a ValidationError's issue begins with the index of the body
   */
  sendAll<K extends C>(
    tx: object,
    contract: K,
    bodies: Iterable<InputOf<K['schema']>>,
    ...options: OutboxSendAllArguments<K>
  ): Promise<{ readonly messageIds: string[] }>;
  /** Wakes the relays of this outbox in this process. Call it after the commit; forgetting it costs only their `pollMs`. */
  committed(): void;
  /** The SQL that makes its table, one statement a string. Harmless when the table exists. */
  migrations(): string[];
  /** @internal */
  readonly engine: OutboxEngine;
}

/** What a relay needs of an outbox. */
export interface OutboxEngine {
  /** The contracts that it was made with, by their labels, such as `queue:emails`. */
  readonly contracts: ReadonlyMap<string, Contract>;
  /**
   * The table, as a relay sees it.
   *
   * @throws ConfigurationError for a `db` that gives no transactions of the right kind
   */
  open(db: unknown): RelayStore;
  /** Calls back after each `committed()`; the function that it returns calls it off. */
  onCommitted(listener: () => void): () => void;
}

/** The name of a contract in the table. */
export function labelOf(contract: Contract): string {
  return `${contract.kind}:${contract.name}`;
}
