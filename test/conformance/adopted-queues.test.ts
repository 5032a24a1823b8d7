import { type Broker, type QueueContract, queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../helpers/recorded-events.js';
import { Seen } from './helpers.js';
import { Peer } from './port/peer.js';
import { suite } from './suite.js';

const Invoice = z.object({ number: z.int() });
const retry = { attempts: 2, initialDelayMs: 63, jitter: false };

/** The attempts of a message whose handler fails until it is a dead letter. */
async function runsOf(broker: Broker, contract: QueueContract<typeof Invoice>): Promise<number[]> {
  const attempts: number[] = [];
  const consumer = broker.consumer(contract, ({ attempt }) => {
    attempts.push(attempt);
    throw new Error('out of paper');
  });
  await consumer.ready;
  await broker.producer(contract).send({ number: 17 });
  await expect.poll(() => consumer.stats.deadLettered).toBe(1);
  return attempts;
}

for (const type of ['quorum', 'classic'] as const) {
  const owned = queue('invoices', Invoice, { type, deadLetter: false, retry: false });

  for (const declare of [false, 'passive'] as const) {
    suite(`a ${type} queue of another program, used with declare: ${declare}`, {
      'has dead letters all the same, after no more runs than the contract says': async (bench) => {
        const broker = await bench.connect();
        await broker.declare(owned);
        const adopted = queue('invoices', Invoice, { type, declare, retry });
        expect(await runsOf(broker, adopted)).toEqual([1, 2]);
        await expect.poll(() => broker.stats('invoices.dead')).toMatchObject({ messages: 1 });
        expect(await broker.deadLetters(adopted).list()).toMatchObject([
          { body: { number: 17 }, attempt: 2 },
        ]);
      },

      'is not consumed when the dead-letter queue that it names does not exist': async (bench) => {
        const broker = await bench.connect();
        await broker.declare(owned);
        const adopted = queue('invoices', Invoice, { type, declare, retry, deadLetter: 'graveyard' });
        await expect(broker.consumer(adopted, () => {}).ready).rejects.toMatchObject({
          code: 'NOT_FOUND',
          target: 'graveyard',
          message: expect.stringMatching(
            /dead-letter queue 'graveyard' of the queue 'invoices'.*'deadLetter'/,
          ),
        });
        await broker.declare(queue('graveyard', z.unknown(), { deadLetter: false }));
        await broker.consumer(adopted, () => {}).ready;
      },
    });
  }
}

suite('a classic queue of another program, whose contract does not name the type', {
  'is consumed, and its messages run as often as the contract says': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(queue('invoices', Invoice, { type: 'classic', deadLetter: false, retry: false }));
    const adopted = queue('invoices', Invoice, { declare: 'passive', retry });
    expect(await runsOf(broker, adopted)).toEqual([1, 2]);
  },
});

suite('a message that is out of attempts, whose dead-letter queue is gone', {
  'is kept and never handled again, which is told, and placed as soon as there is a queue': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(queue('graveyard', z.unknown(), { deadLetter: false }));
    await broker.declare(queue('invoices', Invoice, { deadLetter: false, retry: false }));
    const adopted = queue('invoices', Invoice, { declare: false, deadLetter: 'graveyard', retry });
    const events = recordEvents(broker);
    let runs = 0;
    const consumer = broker.consumer(adopted, () => {
      runs++;
      throw new Error('out of paper');
    });
    await consumer.ready;
    await broker.delete(queue('graveyard', z.unknown(), { declare: false }));
    await broker.producer(adopted).send({ number: 17 });
    await expect.poll(() => events.of('dead-letter-failed').length).toBeGreaterThanOrEqual(2);
    expect(events.of('dead-letter-failed')[0]).toMatchObject({
      queue: 'invoices',
      deadLetterQueue: 'graveyard',
      attempt: 2,
      error: { code: 'NOT_FOUND' },
    });
    expect(broker.health()).toMatchObject({
      status: 'degraded',
      consumers: [{ queue: 'invoices', error: expect.stringContaining('graveyard') }],
    });
    await broker.declare(queue('graveyard', z.unknown(), { deadLetter: false }));
    await expect.poll(() => consumer.stats.deadLettered).toBe(1);
    expect(runs).toBe(2);
    expect(broker.health().status).toBe('up');
    await expect.poll(() => broker.stats('graveyard')).toMatchObject({ messages: 1 });
  },

  'is not handled again either when its connection is lost meanwhile': async (bench) => {
    await using breakable = await bench.target.breakable();
    const [broker, other] = [await bench.connect({}, breakable.url), await bench.connect()];
    await other.declare(queue('graveyard', z.unknown(), { deadLetter: false }));
    await other.declare(queue('invoices', Invoice, { deadLetter: false, retry: false }));
    const adopted = queue('invoices', Invoice, { declare: false, deadLetter: 'graveyard', retry });
    const events = recordEvents(broker);
    let runs = 0;
    const consumer = broker.consumer(adopted, () => {
      runs++;
      throw new Error('out of paper');
    });
    await consumer.ready;
    await other.delete(queue('graveyard', z.unknown(), { declare: false }));
    await other.producer(adopted).send({ number: 17 });
    await expect.poll(() => events.of('dead-letter-failed').length).toBeGreaterThan(0);
    breakable.cut();
    await expect.poll(() => events.of('disconnected').length).toBeGreaterThan(0);
    await other.declare(queue('graveyard', z.unknown(), { deadLetter: false }));
    await expect.poll(() => consumer.stats.deadLettered).toBe(1);
    expect(runs).toBe(2);
  },
});

for (const type of ['quorum', 'classic'] as const) {
  suite(`a message of a ${type} queue that is out of attempts, in a process that dies`, {
    'is not handled by the next one either': async (bench) => {
      await using breakable = await bench.target.breakable();
      const [dying, next] = [await bench.connect({}, breakable.url), await bench.connect()];
      await next.declare(queue('graveyard', z.unknown(), { deadLetter: false }));
      await next.declare(queue('invoices', Invoice, { type, deadLetter: false, retry: false }));
      const adopted = queue('invoices', Invoice, { type, declare: false, deadLetter: 'graveyard', retry });
      const events = recordEvents(dying);
      let runs = 0;
      const handler = () => {
        runs++;
        throw new Error('out of paper');
      };
      await dying.consumer(adopted, handler).ready;
      await next.delete(queue('graveyard', z.unknown(), { declare: false }));
      await next.producer(adopted).send({ number: 17 });
      await expect.poll(() => events.of('dead-letter-failed').length).toBeGreaterThan(0);
      await next.declare(queue('graveyard', z.unknown(), { deadLetter: false }));
      const successor = next.consumer(adopted, handler);
      await successor.ready;
      void dying.close({ timeoutMs: 1 });
      breakable.cut();
      await expect.poll(async () => (await next.stats('graveyard')).messages).toBe(1);
      expect(runs).toBe(2);
      expect(successor.stats.acked).toBe(0);
    },
  });
}

suite('the dead letters of one queue that are the work of another', {
  'can be declared by either program first, by contract or by name': async (bench) => {
    const repairs = queue('repairs', Invoice, { retry: { attempts: 2 } });
    const [shop, workshop] = [await bench.connect(), await bench.connect()];
    for (const [name, deadLetter] of [
      ['by-contract', repairs],
      ['by-name', 'repairs'],
    ] as const) {
      const orders = queue(name, Invoice, { deadLetter });
      await shop.declare(orders);
      await workshop.declare(repairs);
      await expect(shop.declare(orders)).resolves.toBeUndefined();
      await workshop.delete(repairs);
    }
  },

  'have a place when the owner of that queue never came': async (bench) => {
    const broker = await bench.connect();
    const orders = queue('orders', Invoice, { deadLetter: 'repairs', retry: false });
    expect(await broker.deadLetters(orders).list()).toEqual([]);
    const consumer = broker.consumer(orders, () => {
      throw new Error('broken');
    });
    await broker.producer(orders).send({ number: 1 });
    await expect.poll(() => consumer.stats.deadLettered).toBe(1);
    expect(await broker.deadLetters(orders).list()).toMatchObject([{ body: { number: 1 } }]);
  },

  'begin there with the first attempt': async (bench) => {
    const broker = await bench.connect();
    const repairs = queue('repairs', Invoice, { retry: { attempts: 2, initialDelayMs: 0 } });
    const orders = queue('orders', Invoice, {
      deadLetter: repairs,
      retry: { attempts: 3, initialDelayMs: 0 },
    });
    const attempts: number[] = [];
    const consumer = broker.consumer(repairs, ({ attempt }) => {
      attempts.push(attempt);
      throw new Error('beyond repair');
    });
    broker.consumer(orders, () => {
      throw new Error('broken');
    });
    await broker.producer(orders).send({ number: 1 });
    await expect.poll(() => consumer.stats.deadLettered).toBe(1);
    expect(attempts).toEqual([1, 2]);
  },
});

suite('a message that the server moves to another work queue', {
  'begins there with the first attempt': async (bench) => {
    const broker = await bench.connect();
    const second = queue('second', Invoice, { retry: { attempts: 3, initialDelayMs: 63, jitter: false } });
    const first = queue('first', Invoice, {
      messageTtlMs: 400,
      deadLetter: second,
      retry: { attempts: 20, initialDelayMs: 0 },
    });
    let runs = 0;
    const moving = broker.consumer(first, async () => {
      runs++;
      // Before its copy comes: before 4.3 the server also counts a copy that is given back unseen.
      if (runs >= 5) await moving.pause();
      throw new Error('not for us');
    });
    await moving.ready;
    await broker.producer(first).send({ number: 1 });
    await expect.poll(() => moving.state.status).toBe('paused');
    const attempts: number[] = [];
    const consumer = broker.consumer(second, ({ attempt }) => {
      attempts.push(attempt);
      throw new Error('nor for us');
    });
    await expect.poll(() => consumer.stats.deadLettered).toBe(1);
    expect(attempts).toEqual([1, 2, 3]);
  },
});

suite("another client's headers", {
  'keep their values and types in every attempt, in the dead letter and after a replay': async (bench) => {
    const broker = await bench.connect();
    const imports = queue('imports', Invoice, { retry: { attempts: 2, initialDelayMs: 63, jitter: false } });
    const given = {
      customer: 'c-9',
      dueAt: { '!': 'timestamp', value: 1_800_000_000 },
      price: { '!': 'decimal', value: { places: 2, digits: 4_999 } },
      'x-mine': [1, { '!': 'timestamp', value: 1 }],
    };
    const events = recordEvents(broker);
    const seen = new Seen<unknown>();
    const consumer = broker.consumer(imports, (message) => {
      seen.handler(message);
      throw new Error('locked');
    });
    await consumer.ready;
    await using peer = new Peer(bench.target);
    const properties = { headers: given, contentType: 'application/json' };
    await (await peer.channel()).publish('imports', '{"number":1}', { properties });
    await expect.poll(() => events.of('dead-lettered').length).toBe(1);
    await expect.poll(async () => (await broker.deadLetters(imports).replay()).replayed).toBe(1);
    await expect.poll(() => events.of('dead-lettered').length).toBe(2);
    const all = seen.messages.map(({ attempt, headers }) => ({ attempt, headers: { ...headers } }));
    expect(all).toEqual([1, 2, 1, 2].map((attempt) => ({ attempt, headers: given })));
    await consumer.close();
    const dead = new Seen<unknown>();
    broker.consumer(queue('imports.dead', z.unknown(), { declare: false, deadLetter: false }), dead.handler);
    await expect.poll(() => dead.messages.length).toBe(1);
    expect({ ...dead.messages[0]?.headers }).toMatchObject({ ...given, 'leveret-attempt': 2 });
  },
});
