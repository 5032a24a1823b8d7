import { exchange } from 'leveret';
import { memoryDatabase, memoryOutbox } from 'leveret/testing';
import { expect } from 'vitest';
import { z } from 'zod';
import { Seen } from './helpers.js';
import { suite } from './suite.js';

const news = exchange('news', z.object({ id: z.number() }), { type: 'fanout' });
const archive = news.queue('archive', { type: 'classic', deadLetter: false });

/** An outbox in memory, and a function that commits one row. */
function outboxOf() {
  const db = memoryDatabase();
  const outbox = memoryOutbox([news]);
  const commit = (id: number) => db.transaction((tx) => outbox.send(tx, news, { id }));
  return { db, outbox, commit };
}

suite('a relay that sends to an exchange', {
  'waits for the consumers that its broker made before': async (bench) => {
    const broker = await bench.connect();
    const { db, outbox, commit } = outboxOf();
    await commit(1);
    const seen = new Seen<{ id: number }>();
    broker.consumer(archive, seen.handler);
    broker.relay(outbox, { db, pollMs: 50 });
    await expect.poll(() => seen.bodies).toEqual([{ id: 1 }]);
  },

  'has them bound again when the exchange had vanished': async (bench) => {
    const [broker, operator] = [await bench.connect(), await bench.connect()];
    const restored: object[] = [];
    broker.on('topology-restored', (event) => void restored.push(event));
    const { db, outbox, commit } = outboxOf();
    const seen = new Seen<{ id: number }>();
    await broker.consumer(archive, seen.handler).ready;
    broker.relay(outbox, { db, pollMs: 50 });
    await commit(1);
    await expect.poll(() => seen.bodies).toEqual([{ id: 1 }]);
    await operator.delete(news);
    await commit(2);
    await expect.poll(() => seen.bodies).toEqual([{ id: 1 }, { id: 2 }]);
    expect(restored).toEqual([{ kind: 'exchange', name: 'news' }]);
  },
});
