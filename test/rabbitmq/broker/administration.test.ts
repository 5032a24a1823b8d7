import { Broker, exchange, queue, TopologyError } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { otherClient } from '../../helpers/other-client.js';
import { createVhost } from '../../helpers/server/index.js';

const numbers = queue('numbers', z.object({ n: z.number() }));
const events = exchange('events', z.object({ n: z.number() }), { type: 'fanout' });
const listeners = events.queue('listeners');

describe('the administration of a broker', () => {
  it('declares contracts ahead of use, as often as it is asked, and what they need with them', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(numbers, listeners);
    await Promise.all([broker.declare(numbers), broker.declare(events, numbers), broker.declare()]);

    const queues = (await vhost.management.queues()).map(({ name }) => name).sort();
    expect(queues).toEqual(['listeners', 'listeners.dead', 'numbers', 'numbers.dead']);
    await expect
      .poll(() => vhost.management.exchanges())
      .toContainEqual(expect.objectContaining({ name: 'events', type: 'fanout', durable: true }));
    await expect
      .poll(() => vhost.management.bindings())
      .toContainEqual(expect.objectContaining({ source: 'events', destination: 'listeners' }));
  });

  it('declares again what has been deleted meanwhile', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(numbers);
    await vhost.management.deleteQueue('numbers');
    await broker.declare(numbers);
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 0 });
  });

  it('counts the messages that are ready for delivery, and the consumers', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const producer = broker.producer(numbers);
    for (const n of [1, 2, 3]) await producer.send({ n });
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 3, consumers: 0 });

    using working = gate();
    const consumer = broker.consumer(numbers, () => working.opened, { prefetch: 1 });
    await consumer.ready;
    await expect.poll(() => broker.stats('numbers')).toEqual({ messages: 2, consumers: 1 });
    working.open();
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 1 });
  });

  it('purges a queue and says how many messages that were', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.producer(numbers).sendAll([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(await broker.purge(numbers)).toBe(3);
    expect(await broker.purge('numbers')).toBe(0);
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 0 });
  });

  it('deletes a queue or an exchange, harmlessly when there is none, and it can be used again', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const producer = broker.producer(numbers);
    await producer.send({ n: 1 });
    await broker.declare(events);
    await broker.delete(numbers);
    await broker.delete(numbers);
    await broker.delete(events);
    await broker.delete(events);
    expect((await vhost.management.queues()).map(({ name }) => name)).toEqual(['numbers.dead']);
    expect((await vhost.management.exchanges()).map(({ name }) => name)).not.toContain('events');

    await producer.send({ n: 2 });
    await expect.poll(() => broker.stats(numbers)).toMatchObject({ messages: 1 });
    await broker.producer(events).send({ n: 3 });
    expect((await vhost.management.exchanges()).map(({ name }) => name)).toContain('events');
  });

  it('says so when there is no such queue', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    for (const asked of [broker.stats(numbers), broker.stats('missing'), broker.purge(numbers)]) {
      const error: unknown = await asked.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(TopologyError);
      expect(error).toMatchObject({ code: 'NOT_FOUND', message: expect.stringMatching(/numbers|missing/) });
    }
    await broker.declare(numbers);
  });

  it('fails with what went wrong when the server cannot be reached', async () => {
    await using broker = new Broker('amqp://127.0.0.1:1', { startupTimeoutMs: 100 });
    await expect(broker.declare(numbers)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    await expect(broker.stats(numbers)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  });

  it('does not disturb the producers and consumers beside it when the server refuses something', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    const handled: number[] = [];
    await broker.consumer(numbers, ({ body }) => void handled.push(body.n)).ready;
    const producer = broker.producer(numbers);
    await other.channel.assertQueue('taken', { durable: true });
    const refused = Array.from({ length: 5 }, () =>
      broker.declare(queue('taken', z.string())).catch((error: unknown) => error),
    );
    const sent = [1, 2, 3, 4, 5].map((n) => producer.send({ n }));
    for (const error of await Promise.all(refused)) expect(error).toMatchObject({ code: 'MISMATCH' });
    await Promise.all(sent);
    await expect.poll(() => handled).toEqual([1, 2, 3, 4, 5]);
  });
});
