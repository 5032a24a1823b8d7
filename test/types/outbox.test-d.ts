import type { ExtractTablesWithRelations } from 'drizzle-orm';
import type { NodePgDatabase, NodePgQueryResultHKT } from 'drizzle-orm/node-postgres';
import type { PgTransaction } from 'drizzle-orm/pg-core';
import type { Knex } from 'knex';
import type { Kysely, Transaction } from 'kysely';
import { type Broker, exchange, type Inbox, type Message, type Outbox, procedure, queue } from 'leveret';
import { postgresInbox, postgresOutbox, type TransactionOf } from 'leveret/postgres';
import { type MemoryTransaction, memoryDatabase, memoryInbox, memoryOutbox } from 'leveret/testing';
import type { Pool, PoolClient } from 'pg';
import type postgres from 'postgres';
import type { DataSource, EntityManager } from 'typeorm';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

declare const broker: Broker;
declare const pool: Pool;
declare const tx: object;

interface Tables {
  mails: { to: string };
}

const emails = queue('emails', z.object({ to: z.string(), at: z.string().default('now') }));
const orders = exchange('orders', z.object({ id: z.string() }), { type: 'topic' });
const news = exchange('news', z.object({ text: z.string() }), { type: 'fanout' });
const others = queue('others', z.object({ n: z.number() }));

describe('the transaction of a database', () => {
  it('is that of its library', () => {
    expectTypeOf<TransactionOf<Pool>>().toEqualTypeOf<PoolClient>();
    expectTypeOf<TransactionOf<postgres.Sql>>().toEqualTypeOf<postgres.TransactionSql>();
    expectTypeOf<TransactionOf<Kysely<Tables>>>().toEqualTypeOf<Transaction<Tables>>();
    expectTypeOf<TransactionOf<Knex>>().toExtend<Knex.Transaction>();
    expectTypeOf<TransactionOf<DataSource>>().toEqualTypeOf<EntityManager>();
    expectTypeOf<TransactionOf<NodePgDatabase>>().toEqualTypeOf<
      PgTransaction<
        NodePgQueryResultHKT,
        Record<string, never>,
        ExtractTablesWithRelations<Record<string, never>>
      >
    >();
    expectTypeOf<
      TransactionOf<{ transaction(work: (tx: { mine: true }) => Promise<void>): Promise<unknown> }>
    >().toEqualTypeOf<{ mine: true }>();
    expectTypeOf(postgresInbox(pool)).toEqualTypeOf<Inbox<PoolClient>>();
    expectTypeOf(memoryInbox(memoryDatabase())).toEqualTypeOf<Inbox<MemoryTransaction>>();
  });
});

describe('outbox.send', () => {
  const outbox = postgresOutbox([emails, orders, news]);

  it('takes the contracts that it was made with, their bodies and their options', () => {
    void outbox.send(tx, emails, { to: 'a' });
    void outbox.send(tx, emails, { to: 'a' }, { key: 'k', delayMs: 1_000, headers: { a: 1 } });
    void outbox.send(tx, orders, { id: '1' }, { routingKey: 'eu', key: undefined });
    void outbox.send(tx, news, { text: 'x' });
    void outbox.sendAll(tx, emails, new Set([{ to: 'a' }]), (body, index) => ({
      key: `${body.to} ${index}`,
    }));
    void outbox.sendAll(tx, orders, [{ id: '1' }], { routingKey: 'eu' });
    expectTypeOf(outbox.send(tx, emails, { to: 'a' })).resolves.toEqualTypeOf<{
      readonly messageId: string;
    }>();
    expectTypeOf(outbox).toExtend<Outbox>();
    expectTypeOf(memoryOutbox([emails])).toExtend<Outbox>();
    broker.relay(outbox, { db: pool, pollMs: 500, batch: undefined });
  });

  it('takes nothing else', () => {
    // @ts-expect-error not a contract of this outbox
    void outbox.send(tx, others, { n: 1 });
    // @ts-expect-error another body
    void outbox.send(tx, emails, { to: 1 });
    // @ts-expect-error a topic exchange needs a routing key
    void outbox.send(tx, orders, { id: '1' });
    // @ts-expect-error a topic exchange needs a routing key
    void outbox.sendAll(tx, orders, [{ id: '1' }]);
    // @ts-expect-error a queue takes none
    void outbox.send(tx, emails, { to: 'a' }, { routingKey: 'a' });
    // @ts-expect-error nothing waits for a send
    void outbox.send(tx, emails, { to: 'a' }, { timeoutMs: 1 });
    // @ts-expect-error nothing waits for a send
    void outbox.send(tx, emails, { to: 'a' }, { signal: AbortSignal.abort() });
    const quote = procedure('quote', { request: z.object({}), response: z.object({}) });
    // @ts-expect-error a procedure is asked, not sent to
    postgresOutbox([quote]);
    // @ts-expect-error a subscription is read, not sent to
    postgresOutbox([orders.subscription('a')]);
  });
});

describe('a consumer with an inbox', () => {
  const inbox = postgresInbox(pool);

  it('hands the transaction to its handler', () => {
    broker.consumer(
      emails,
      (message, client) => {
        expectTypeOf(message).toEqualTypeOf<Message<{ to: string; at: string }>>();
        expectTypeOf(client).toEqualTypeOf<PoolClient>();
      },
      { inbox },
    );
    broker.consumer(emails, async ({ body }, client) => client.query('select $1', [body.to]), {
      inbox,
      concurrency: 5,
      handlerTimeoutMs: 1_000,
      idempotencyKey: ({ body }) => body.at,
      orderBy: ({ body }) => body.to,
    });
    broker.consumer(emails, ({ body }) => body.to, { inbox });
    broker.consumer(emails, (_, memory) => memory.onCommit(() => {}), {
      inbox: memoryInbox(memoryDatabase()),
    });
  });

  it('has one with an inbox alone, of the inbox', () => {
    // @ts-expect-error there is no transaction
    broker.consumer(emails, async (_message: unknown, _client: PoolClient) => {});
    // @ts-expect-error there is no transaction
    broker.consumer(emails, async (_message: unknown, _client: PoolClient) => {}, { concurrency: 2 });
    // @ts-expect-error another transaction than the inbox gives
    broker.consumer(emails, async (_message, _tx: MemoryTransaction) => {}, { inbox });
    // @ts-expect-error a key is text
    broker.consumer(emails, () => {}, { inbox, idempotencyKey: () => 1 });
  });

  it('goes with nothing that cannot be undone', () => {
    // @ts-expect-error a loop
    broker.consumer(emails, { inbox });
    // @ts-expect-error a batch
    broker.batchConsumer(emails, () => {}, { inbox });
    // @ts-expect-error a queue that goes with its consumer
    broker.consumer(orders.subscription('a'), () => {}, { inbox });
    // @ts-expect-error the server forgets what it delivers
    broker.consumer(emails, () => {}, { inbox, noAck: true });
    // @ts-expect-error both together
    broker.consumer(emails, () => {}, { inbox, idempotency: { store: {} as never } });
    const quote = procedure('quote', { request: z.object({}), response: z.object({}) });
    // @ts-expect-error a responder
    broker.responder(quote, () => ({}), { inbox });
  });
});

describe('a consumer with an idempotency store', () => {
  it('has a handler without a transaction', () => {
    const store = {} as import('leveret').IdempotencyStore;
    broker.consumer(emails, ({ body }) => expectTypeOf(body.at).toEqualTypeOf<string>(), {
      idempotency: { store, ttlMs: 1_000, leaseMs: undefined },
      idempotencyKey: ({ body }) => body.to,
      concurrency: 2,
    });
    // @ts-expect-error a store is needed
    broker.consumer(emails, () => {}, { idempotency: {} });
    // @ts-expect-error a loop
    broker.consumer(emails, { idempotency: { store } });
    // @ts-expect-error there is no transaction
    broker.consumer(emails, (_message: unknown, _tx: object) => {}, { idempotency: { store } });
  });
});
