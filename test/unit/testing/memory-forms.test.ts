import { memoryStore, queue } from 'leveret';
import { memoryDatabase, memoryInbox, memoryOutbox, TestBroker, testStore } from 'leveret/testing';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const emails = queue('emails', z.object({ to: z.string() }));
const others = queue('others', z.object({ n: z.number() }), { deadLetter: false });

describe('a memory outbox', () => {
  it('sends what was committed, once settled, and not what was rolled back', async () => {
    await using broker = await TestBroker.start();
    const db = memoryDatabase();
    const outbox = memoryOutbox([emails]);
    const relay = broker.relay(outbox, { db });
    await relay.ready;
    await db.transaction(async (tx) => {
      await outbox.send(tx, emails, { to: 'ada' }, { messageId: 'm1', headers: { a: 1 } });
      await tx
        .transaction(async (savepoint) => {
          await outbox.send(savepoint, emails, { to: 'lost' });
          throw new Error('undone');
        })
        .catch(() => {});
    });
    await expect(
      db.transaction(async (tx) => {
        await outbox.send(tx, emails, { to: 'lost' });
        throw new Error('rolled back');
      }),
    ).rejects.toThrow('rolled back');
    expect(broker.sent(emails)).toEqual([]);
    await broker.settled();
    expect(broker.sent(emails)).toMatchObject([{ body: { to: 'ada' }, id: 'm1', headers: { a: 1 } }]);
    expect(relay.stats).toEqual({ sent: 1, waiting: 0, oldestMs: 0, stuck: 0 });
  });

  it('sends at its next poll, and at once when it is told of the commit', async () => {
    await using broker = await TestBroker.start();
    const db = memoryDatabase();
    const outbox = memoryOutbox([emails]);
    await broker.relay(outbox, { db, pollMs: 1_000 }).ready;
    await broker.settled();
    await db.transaction((tx) => outbox.send(tx, emails, { to: 'ada' }));
    await broker.advance(990);
    expect(broker.sent(emails)).toEqual([]);
    await broker.advance(20);
    expect(broker.sent(emails)).toHaveLength(1);
    await db.transaction((tx) => outbox.send(tx, emails, { to: 'bob' }));
    outbox.committed();
    await broker.advance(0);
    expect(broker.sent(emails)).toHaveLength(2);
  });

  it('holds back only the rows of the key whose first row cannot be sent, and tells of it', async () => {
    await using broker = await TestBroker.start();
    const missing = queue('missing', z.object({ n: z.number() }), { declare: false });
    const db = memoryDatabase();
    const outbox = memoryOutbox([missing, others]);
    const stuck: object[] = [];
    broker.on('outbox-stuck', (event) => stuck.push(event));
    const relay = broker.relay(outbox, { db });
    await db.transaction(async (tx) => {
      await outbox.send(tx, missing, { n: 1 }, { key: 'a', messageId: 'first' });
      await outbox.send(tx, others, { n: 2 }, { key: 'a' });
      await outbox.send(tx, others, { n: 3 }, { key: 'b' });
      await outbox.send(tx, others, { n: 4 });
    });
    await broker.settled();
    expect(
      broker
        .sent(others)
        .map(({ body }) => body.n)
        .sort(),
    ).toEqual([3, 4]);
    expect(stuck).toMatchObject([
      {
        table: 'memory',
        messageId: 'first',
        contract: 'queue:missing',
        attempts: 1,
        error: { code: 'UNROUTABLE' },
      },
    ]);
    expect(broker.health()).toMatchObject({ status: 'degraded', relays: [{ stuck: 1, waiting: 2 }] });
    await broker.advance(500 + 100);
    expect(stuck).toHaveLength(2);
    const [row] = await relay.stuck();
    expect(row).toMatchObject({ messageId: 'first', attempts: 2, error: { code: 'UNROUTABLE' } });
    expect(await relay.discard(row?.id ?? '')).toBe(true);
    expect(await relay.discard(row?.id ?? '')).toBe(false);
    await broker.settled();
    expect(
      broker
        .sent(others)
        .map(({ body }) => body.n)
        .sort(),
    ).toEqual([2, 3, 4]);
  });

  it('leaves rows of contracts that it lacks to other relays, and holds back their keys', async () => {
    await using broker = await TestBroker.start();
    const db = memoryDatabase();
    const outbox = memoryOutbox([emails, others]);
    const old = { ...outbox, engine: { ...outbox.engine, contracts: new Map([['queue:others', others]]) } };
    const relay = broker.relay(old as typeof outbox, { db });
    await db.transaction(async (tx) => {
      await outbox.send(tx, emails, { to: 'ada' }, { key: 'a' });
      await outbox.send(tx, others, { n: 1 }, { key: 'a' });
      await outbox.send(tx, others, { n: 2 });
    });
    await broker.settled();
    expect(broker.sent(others)).toMatchObject([{ body: { n: 2 } }]);
    expect(await relay.stuck()).toMatchObject([
      { contract: 'queue:emails', error: { code: 'UNKNOWN_CONTRACT' } },
    ]);
    broker.relay(outbox, { db });
    await broker.settled();
    await broker.settled();
    expect(broker.sent(emails)).toHaveLength(1);
    expect(broker.sent(others)).toHaveLength(2);
  });

  it('refuses any other transaction, and one that is over', async () => {
    const db = memoryDatabase();
    const outbox = memoryOutbox([emails]);
    let over: object = {};
    await db.transaction((tx) => {
      over = tx;
    });
    for (const tx of [over, db, {}, { execute: async () => [] }])
      await expect(outbox.send(tx, emails, { to: 'a' })).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        option: 'tx',
      });
  });
});

describe('a memory inbox', () => {
  it('runs the handler of a message that comes twice once, and tells of the duplicate', async () => {
    await using broker = await TestBroker.start();
    const db = memoryDatabase();
    const done: string[] = [];
    const duplicates: object[] = [];
    broker.on('duplicate', (event) => duplicates.push(event));
    const consumer = broker.consumer(emails, ({ body }, tx) => tx.onCommit(() => done.push(body.to)), {
      inbox: memoryInbox(db),
    });
    await consumer.ready;
    await broker.producer(emails).send({ to: 'ada' }, { messageId: 'one' });
    await broker.producer(emails).send({ to: 'ada' }, { messageId: 'one' });
    await broker.settled();
    expect(done).toEqual(['ada']);
    expect(duplicates).toEqual([{ queue: 'emails', messageId: 'one' }]);
    expect(consumer.stats).toMatchObject({ duplicates: 1, acked: 2 });
    expect(broker.handled(emails)).toHaveLength(1);
  });

  it.each([
    ['throws', () => Promise.reject(new Error('no')), 'retried'],
    ['asks for another attempt', (m: { retry(): boolean }) => m.retry(), 'retried'],
    [
      'acknowledges and then throws',
      async (m: { ack(): boolean }) => {
        m.ack();
        throw new Error('no');
      },
      'retried',
    ],
    ['gives it up', (m: { deadLetter(): boolean }) => m.deadLetter(), 'dead-lettered'],
  ] as const)('rolls back when the handler %s', async (_what, act, outcome) => {
    await using broker = await TestBroker.start();
    const db = memoryDatabase();
    const done: string[] = [];
    broker.consumer(
      emails,
      async (message, tx) => {
        tx.onCommit(() => done.push(`attempt ${message.attempt}`));
        if (message.attempt === 1) await act(message);
      },
      { inbox: memoryInbox(db) },
    );
    await broker.producer(emails).send({ to: 'ada' });
    await broker.settled();
    expect(done).toEqual([]);
    expect(broker.handled(emails)).toMatchObject([{ outcome }]);
    await broker.advance('1m');
    expect(done).toEqual(outcome === 'retried' ? ['attempt 2'] : []);
  });

  it('rolls back when the handler takes too long, and when its process dies', async () => {
    await using broker = await TestBroker.start();
    const db = memoryDatabase();
    const done: number[] = [];
    const consumer = broker.consumer(
      emails,
      async ({ attempt }, tx) => {
        tx.onCommit(() => done.push(attempt));
        if (attempt < 3) await new Promise(() => {});
      },
      { inbox: memoryInbox(db), handlerTimeoutMs: 10_000 },
    );
    await consumer.ready;
    await broker.producer(emails).send({ to: 'ada' });
    await broker.advance('11s');
    await broker.crashConsumer();
    await broker.advance('1m');
    expect(done).toEqual([3]);
  });

  it('gives a message back whose time is over before its handler has begun', async () => {
    await using broker = await TestBroker.start();
    const errors: object[] = [];
    broker.on('handler-error', (event) => errors.push(event));
    const inbox = memoryInbox(memoryDatabase());
    let runs = 0;
    const handler = async () => {
      runs++;
      await new Promise(() => {});
    };
    await broker.consumer(emails, handler, { inbox, prefetch: 1 }).ready;
    await broker.producer(emails).send({ to: 'ada' }, { messageId: 'one' });
    await broker.advance(0);
    const second = broker.consumer(emails, handler, { inbox, prefetch: 1, handlerTimeoutMs: 10_000 });
    await second.ready;
    await broker.producer(emails).send({ to: 'ada' }, { messageId: 'one' });
    await broker.advance('9s');
    expect(second.stats).toMatchObject({ requeued: 0, inFlight: 1 });
    await broker.advance('2s');
    expect(second.stats).toMatchObject({ requeued: 1, retried: 0, deadLettered: 0 });
    expect({ runs, errors }).toEqual({ runs: 1, errors: [] });
  });

  it('keeps one queue apart from another, and runs messages without an id', async () => {
    await using broker = await TestBroker.start();
    const inbox = memoryInbox(memoryDatabase());
    const done: string[] = [];
    const untold: object[] = [];
    broker.on('no-message-id', (event) => untold.push(event));
    broker.consumer(emails, () => done.push('emails'), { inbox });
    broker.consumer(others, () => done.push('others'), { inbox, idempotencyKey: ({ body }) => `${body.n}` });
    await broker.producer(emails).send({ to: 'ada' }, { messageId: '1' });
    await broker.producer(others).send({ n: 1 });
    await broker.producer(others).send({ n: 1 });
    await broker.settled();
    expect(done.sort()).toEqual(['emails', 'others']);
    expect(untold).toEqual([]);
  });

  it('dead-letters a message whose key cannot be kept', async () => {
    await using broker = await TestBroker.start();
    const inbox = memoryInbox(memoryDatabase());
    broker.consumer(emails, () => {}, { inbox, idempotencyKey: ({ body }) => body.to });
    await broker.producer(emails).send({ to: '' });
    await broker.settled();
    expect(broker.deadLettered(emails)).toMatchObject([{ error: { code: 'INVALID_KEY' } }]);
  });
});

describe('an idempotency store', () => {
  it('keeps the contract', async () => {
    await expect(testStore(memoryStore())).resolves.toBeUndefined();
  });

  it('of idempotency keys refuses what it cannot hold, as long as each key is claimed', async () => {
    const store = memoryStore();
    const claims = Array.from({ length: 100_000 }, (_, n) => store.claim(`${n}`, 60_000));
    const [first] = await Promise.all(claims);
    for (let n = 0; n < 1_000; n++) await expect(store.claim(`more ${n}`, 60_000)).rejects.toThrow(/100000/);
    const { token = '' } = first as { readonly token?: string };
    await store.done('0', token, 60_000);
    expect(await store.claim('more', 60_000)).toHaveProperty('token');
    // The key that was done has gone for it.
    await expect(store.claim('0', 60_000)).rejects.toThrow(/100000/);
  }, 15_000);

  it('lets a handled message run no more, and one that failed again', async () => {
    await using broker = await TestBroker.start();
    const runs: string[] = [];
    const consumer = broker.consumer(
      emails,
      ({ body, attempt }) => {
        runs.push(`${body.to} ${attempt}`);
        if (attempt === 1) throw new Error('not yet');
      },
      { idempotency: { store: memoryStore() }, idempotencyKey: ({ body }) => body.to },
    );
    await broker.producer(emails).send({ to: 'ada' });
    await broker.settled();
    await broker.advance('1m');
    await broker.producer(emails).send({ to: 'ada' });
    await broker.settled();
    expect(runs).toEqual(['ada 1', 'ada 2']);
    expect(consumer.stats.duplicates).toBe(1);
  });

  it('lets a message wait for another run of it without a place, and then skips it', async () => {
    await using broker = await TestBroker.start();
    const runs: string[] = [];
    let end = () => {};
    const first = new Promise<void>((resolve) => {
      end = resolve;
    });
    const consumer = broker.consumer(
      emails,
      async ({ body }) => {
        runs.push(body.to);
        if (runs.length === 1) await first;
      },
      { idempotency: { store: memoryStore() }, idempotencyKey: ({ body }) => body.to, concurrency: 2 },
    );
    await broker.producer(emails).sendAll([{ to: 'ada' }, { to: 'ada' }, { to: 'bob' }, { to: 'cy' }]);
    await expect.poll(() => runs).toEqual(['ada', 'bob', 'cy']);
    end();
    await expect.poll(() => consumer.stats.duplicates).toBe(1);
    expect(runs).toEqual(['ada', 'bob', 'cy']);
  });
});
