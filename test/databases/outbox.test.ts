import { Broker, exchange, queue } from 'leveret';
import { postgresOutbox } from 'leveret/postgres';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { createDatabase, type TestDatabase } from '../helpers/databases/index.js';
import { createVhost } from '../helpers/server/index.js';

let db: TestDatabase;

beforeAll(async () => {
  db = await createDatabase();
});

afterAll(() => db.remove());

const emails = queue('emails', z.object({ to: z.string() }));
const orders = exchange('orders', z.object({ id: z.string() }), { type: 'topic' });

async function connected(): Promise<Broker> {
  const vhost = await createVhost();
  const broker = await Broker.connect(vhost.url);
  onTestFinished(async () => {
    await broker.close();
    await vhost[Symbol.asyncDispose]();
  });
  return broker;
}

describe('an outbox on PostgreSQL', () => {
  it('sends what was committed, and not what was rolled back', async () => {
    const outbox = postgresOutbox([emails, orders]);
    await db.migrate(outbox.migrations(), outbox.migrations());
    const broker = await connected();
    const received: string[] = [];
    await broker.consumer(emails, ({ body }) => received.push(body.to)).ready;
    const client = await db.pool.connect();
    await client.query('begin');
    await outbox.send(client, emails, { to: 'lost' });
    await client.query('rollback');
    await client.query('begin');
    await outbox.send(client, emails, { to: 'one' });
    await outbox.sendAll(client, emails, [{ to: 'two' }, { to: 'thr"ee\\' }], { key: 'k' });
    await client.query('commit');
    client.release();
    const relay = broker.relay(outbox, { db: db.pool });
    await relay.ready;
    await expect.poll(() => received.sort()).toEqual(['one', 'thr"ee\\', 'two']);
    await expect.poll(() => db.query('select * from leveret_outbox')).toEqual([]);
    expect(relay.stats.sent).toBe(3);
    expect(broker.health().relays).toMatchObject([{ state: 'running', sent: 3 }]);
    expect(await relay.close()).toEqual({ clean: true });
  });
});
