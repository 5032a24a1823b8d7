import type { InputOf } from '../contracts/body/schema.js';
import type { Contract, ExchangeContract } from '../contracts/types.js';
import type { Receipt } from '../producer/publisher/pending-send.js';
import type { SendOptions } from '../producer/send-options.js';
import type { RelayStore } from './relay-store.js';

/** The options of `outbox.send`: those of `producer.send`, without `timeoutMs` and `signal`, and a key. */
export interface OutboxSendOptions extends Omit<SendOptions, 'timeoutMs' | 'signal'> {
  /**
   * Rows with the same key are sent in the order of their commits, whatever their contracts, provided that their transactions
   * exclude each other from before `send` until they commit. 1 to 255 characters. A row without a key waits for no other.
   */
  readonly key?: string | undefined;
}

/** {@link OutboxSendOptions}, with a routing key if the exchange type uses one. */
export type OutboxOptionsOf<C extends Contract> =
  C extends ExchangeContract<infer _S, infer T>
    ? T extends 'topic' | 'direct'
      ? OutboxSendOptions & { readonly routingKey: string }
      : OutboxSendOptions & { readonly routingKey?: never }
    : OutboxSendOptions & { readonly routingKey?: never };

/** The arguments of `outbox.send` after the body. */
export type OutboxSendArguments<C extends Contract> =
  Record<never, never> extends OutboxOptionsOf<C>
    ? [options?: OutboxOptionsOf<C>]
    : [options: OutboxOptionsOf<C>];

/** The arguments of `outbox.sendAll` after the bodies: options for all, or a function that returns those of each. */
export type OutboxSendAllArguments<C extends Contract> =
  Record<never, never> extends OutboxOptionsOf<C>
    ? [options?: OutboxOptionsOf<C> | ((body: InputOf<C['schema']>, index: number) => OutboxOptionsOf<C>)]
    : [options: OutboxOptionsOf<C> | ((body: InputOf<C['schema']>, index: number) => OutboxOptionsOf<C>)];

/**
 * Messages that are committed together with the user's own rows, and then sent by a {@link Relay}: at least once, or never if
 * the transaction is rolled back. Pure data: it holds no connection. Created by `postgresOutbox(…)` or `memoryOutbox(…)`.
 */
export interface Outbox<C extends Contract = Contract> {
  /**
   * Inserts one message in the transaction of `tx`. Everything is checked before `tx` is used, so that the transaction is
   * still usable after a refused body. An error of the database is passed on unchanged.
   *
   * @param tx - an object that runs SQL inside the open transaction
   * @throws ConfigurationError for a wrong `tx`, contract or option; ValidationError, MessageTooLargeError for the body
   */
  send<K extends C>(
    tx: object,
    contract: K,
    body: InputOf<K['schema']>,
    ...options: OutboxSendArguments<K>
  ): Promise<Receipt>;
  /**
   * Inserts up to 10 000 messages with one statement. All are checked first: if one is wrong, none is inserted.
   *
   * @throws as `send`; the path of a ValidationError's issue begins with the index of the body
   */
  sendAll<K extends C>(
    tx: object,
    contract: K,
    bodies: Iterable<InputOf<K['schema']>>,
    ...options: OutboxSendAllArguments<K>
  ): Promise<{ readonly messageIds: string[] }>;
  /** Wakes the relays of this outbox in this process. Call it after the commit: without it, they look only every `pollMs`. */
  committed(): void;
  /** The SQL that creates the table, one statement per string. Harmless if the table exists. */
  migrations(): string[];
  /** @internal */
  readonly engine: OutboxEngine;
}

/** The part of an outbox that relays use. */
export interface OutboxEngine {
  /** The contracts that it was created with, by their labels, such as `queue:emails`. */
  readonly contracts: ReadonlyMap<string, Contract>;
  /**
   * The table from a relay's point of view.
   *
   * @throws ConfigurationError for a `db` whose transactions are of the wrong kind
   */
  open(db: unknown): RelayStore;
  /** Calls back after each `committed()`; the returned function unsubscribes. */
  onCommitted(listener: () => void): () => void;
}

/** The name of a contract in the table. */
export function labelOf(contract: Contract): string {
  return `${contract.kind}:${contract.name}`;
}
