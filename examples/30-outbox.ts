/**
 * A sign-up that commits a user and a message together, and a mailer whose effect happens once, although the message comes twice.
 * In memory, unless `RABBITMQ_URL` names a RabbitMQ and `DATABASE_URL` a PostgreSQL.
 */
import { Broker, type Inbox, type Outbox, queue } from 'leveret';
import { postgresInbox, postgresOutbox } from 'leveret/postgres';
import { memoryDatabase, memoryInbox, memoryOutbox } from 'leveret/testing';
import pg from 'pg';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const welcome = queue('example.welcome', z.object({ userId: z.string(), email: z.email() }));

/** Where users and mails are kept: the same program runs on both. */
interface Service<Tx extends object> {
  readonly db: object;
  readonly outbox: Outbox<typeof welcome>;
  readonly inbox: Inbox<Tx>;
  transaction(work: (tx: Tx) => Promise<void>): Promise<void>;
  addUser(tx: Tx, email: string): Promise<void>;
  addMail(tx: Tx, email: string): Promise<void>;
  mails(): Promise<string[]>;
  close(): Promise<void>;
}

function inMemory(): Service<import('leveret/testing').MemoryTransaction> {
  const db = memoryDatabase();
  const users: string[] = [];
  const mails: string[] = [];
  return {
    db,
    outbox: memoryOutbox([welcome]),
    inbox: memoryInbox(db),
    transaction: (work) => db.transaction(work),
    addUser: async (tx, email) => tx.onCommit(() => users.push(email)),
    addMail: async (tx, email) => tx.onCommit(() => mails.push(email)),
    mails: async () => mails.toSorted(),
    close: async () => {},
  };
}

async function onPostgres(connectionString: string): Promise<Service<pg.PoolClient>> {
  const tables = 'example_users, example_mails, example_outbox, example_inbox';
  const db = new pg.Pool({ connectionString });
  const outbox = postgresOutbox([welcome], { table: 'example_outbox' });
  const inbox = postgresInbox(db, { table: 'example_inbox' });
  await db.query(`drop table if exists ${tables}`);
  for (const statement of [...outbox.migrations(), ...inbox.migrations()]) await db.query(statement);
  await db.query('create table example_users (email text); create table example_mails (email text)');
  return {
    db,
    outbox,
    inbox,
    async transaction(work) {
      const client = await db.connect();
      try {
        await client.query('begin');
        await work(client);
        await client.query('commit');
      } catch (error) {
        await client.query('rollback');
        throw error;
      } finally {
        client.release();
      }
    },
    addUser: async (tx, email) => void (await tx.query('insert into example_users values ($1)', [email])),
    addMail: async (tx, email) => void (await tx.query('insert into example_mails values ($1)', [email])),
    mails: async () =>
      (await db.query('select email from example_mails order by email')).rows.map((row) => row.email),
    async close() {
      await db.query(`drop table if exists ${tables}`);
      await db.end();
    },
  };
}

async function main<Tx extends object>(service: Service<Tx>): Promise<void> {
  const { db, outbox, inbox } = service;
  await using _queues = await freshQueues(url, welcome);
  await using broker = await Broker.connect(url, { name: 'sign-up' });
  // Bob's first run fails, as it should. Without a listener or a logger, the process would warn of it.
  broker.on('handler-error', () => {});

  const signUp = (email: string, fails = false) =>
    service.transaction(async (tx) => {
      await service.addUser(tx, email);
      await outbox.send(tx, welcome, { userId: email, email }, { key: email, messageId: `welcome ${email}` });
      if (fails) throw new Error('the card was declined');
    });

  await signUp('ada@example.com');
  await signUp('bob@example.com');
  await signUp('eve@example.com', true).catch(({ message }) => console.log(`eve: rolled back, ${message}`));
  outbox.committed();
  console.log('Signed up: ada and bob. Nothing has been sent yet.');

  const relay = broker.relay(outbox, { db });
  await until(() => relay.stats.sent === 2);
  console.log(`The relay has sent ${relay.stats.sent} messages.`);

  let runs = 0;
  const mailer = broker.consumer(
    welcome,
    async ({ body, attempt }, tx) => {
      runs++;
      await service.addMail(tx, body.email);
      if (body.email.startsWith('bob') && attempt === 1) throw new Error('the mail server is down');
    },
    { inbox },
  );
  await until(() => mailer.stats.acked === 2);
  // What a lost confirm, a replay or a second relay would do: the same message once more.
  await broker
    .producer(welcome)
    .send({ userId: 'ada@example.com', email: 'ada@example.com' }, { messageId: 'welcome ada@example.com' });
  await until(() => mailer.stats.duplicates === 1);
  console.log(`The handler ran ${runs} times: bob's first run failed and was rolled back.`);
  console.log(`Messages that came again: ${mailer.stats.duplicates}.`);
  console.log(`Mails: ${(await service.mails()).join(', ')}.`);
  await broker.close();
  await service.close();
}

const databaseUrl = process.env.DATABASE_URL;
if (databaseUrl) await main(await onPostgres(databaseUrl));
else await main(inMemory());
