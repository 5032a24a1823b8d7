import { Broker, delays, exchange, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost, type TestVhost } from '../../helpers/server/index.js';

const tasks = queue('tasks', z.string(), { retry: { initialDelayMs: 63, jitter: false } });
const events = exchange('events', z.string());
const existing = queue('tasks', z.string(), {
  declare: 'passive',
  retry: { initialDelayMs: 63, jitter: false },
});

/** Connects as a user who may declare what this says, and read and write the rest as given. */
async function connectAs(
  vhost: TestVhost,
  permissions: { configure: string; write?: string; read?: string },
) {
  const name = `user-${vhost.name}`;
  await vhost.management.createUser(name, 'secret', { write: '.*', read: '.*', ...permissions });
  const url = new URL(vhost.url);
  url.username = name;
  url.password = 'secret';
  const broker = await Broker.connect(url.href);
  return {
    broker,
    [Symbol.asyncDispose]: async () => {
      await broker.close();
      await vhost.management.deleteUser(name);
    },
  };
}

describe('a user without the right to declare the delays', () => {
  it('is told what is missing when it delays a send, and can go on sending without', async () => {
    await using vhost = await createVhost();
    await using user = await connectAs(vhost, { configure: '^tasks' });
    const producer = user.broker.producer(tasks);
    for (const delayMs of [60_000, 90_000]) {
      await expect(producer.send('a', { delayMs })).rejects.toMatchObject({
        code: 'ACCESS_REFUSED',
        message: expect.stringMatching(
          /'leveret\.delay\..*configure, write and read.*broker\.declare\(delays\(/s,
        ),
      });
    }
    await expect(producer.send('c')).resolves.toBeDefined();
  });

  it('tries failed messages again all the same, out of its own memory', async () => {
    await using vhost = await createVhost();
    await using user = await connectAs(vhost, { configure: '^tasks' });
    const attempts: number[] = [];
    const consumer = user.broker.consumer(tasks, ({ attempt }) => {
      attempts.push(attempt);
      if (attempt < 2) throw new Error('not yet');
    });
    await user.broker.producer(tasks).send('a');
    await expect.poll(() => consumer.stats.acked, { timeout: 15_000 }).toBe(1);
    expect(attempts).toEqual([1, 2]);
  });

  it('can use what another one has declared ahead', async () => {
    await using vhost = await createVhost();
    await using admin = await Broker.connect(vhost.url);
    await admin.declare(tasks, delays(tasks, events));
    await using user = await connectAs(vhost, { configure: '^$' });
    const attempts: number[] = [];
    const consumer = user.broker.consumer(existing, ({ attempt }) => {
      attempts.push(attempt);
      if (attempt < 2) throw new Error('not yet');
    });
    await user.broker.producer(existing).send('a', { delayMs: 125 });
    await expect.poll(() => consumer.stats.acked, { timeout: 15_000 }).toBe(1);
    expect({ attempts, requeued: consumer.stats.requeued }).toEqual({ attempts: [1, 2], requeued: 0 });
    await expect.poll(() => admin.stats('leveret.delay.undelivered')).toMatchObject({ messages: 0 });
  });

  it('is told when its queue cannot be bound', async () => {
    await using vhost = await createVhost();
    await using admin = await Broker.connect(vhost.url);
    await admin.declare(tasks, delays());
    await using user = await connectAs(vhost, { configure: '^$', read: '^tasks' });
    await expect(user.broker.producer(existing).send('a', { delayMs: 60_000 })).rejects.toMatchObject({
      code: 'ACCESS_REFUSED',
      message: expect.stringMatching(
        /'tasks' is bound to 'leveret\.delay\.landed'.*write the first.*read the second/,
      ),
    });
  });
});

describe('a queue that an administrator limits', () => {
  it('gets its delayed messages as soon as it has room, in the program that sends them', async () => {
    await using vhost = await createVhost();
    await vhost.management.putPolicy('limits', {
      pattern: '^small$',
      definition: { 'max-length': 1, overflow: 'reject-publish' },
      applyTo: 'queues',
    });
    const small = queue('small', z.number());
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(small, delays(small));
    const producer = broker.producer(small);
    // The policy is applied a moment after the declaration.
    const isFull = () =>
      producer.send(0).then(
        () => false,
        () => true,
      );
    await expect.poll(isFull, { timeout: 20_000, interval: 1 }).toBe(true);
    // More than the server's dead-letter worker has under way at once.
    await Promise.all(Array.from({ length: 40 }, (_, at) => producer.send(100 + at, { delayMs: 500 })));
    await expect.poll(async () => (await broker.stats('leveret.delay.500ms')).messages).toBe(0);
    const late = new Set<number>();
    const consumer = broker.consumer(small, ({ body }) => void (body >= 100 && late.add(body)));
    await consumer.ready;
    const roomAt = Date.now();
    await expect.poll(() => late.size, { timeout: 20_000 }).toBe(40);
    expect(Date.now() - roomAt).toBeLessThan(5_000);
  });
});
