import { Broker, ConfigurationError, exchange } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../helpers/server/index.js';
import { TcpProxy } from '../helpers/tcp-proxy.js';

const orders = () => exchange('orders', z.object({ id: z.string() }), { type: 'topic', durable: true });

describe('a private subscription', () => {
  it('gives each consumer a queue of its own, with every message that matches', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const subscription = orders().subscription('eu.#');
    const seen: string[] = [];
    const first = broker.consumer(subscription, ({ body }) => seen.push(`first ${body.id}`));
    const second = broker.consumer(subscription, ({ body }) => seen.push(`second ${body.id}`));
    await Promise.all([first.ready, second.ready]);

    const producer = broker.producer(orders());
    await producer.send({ id: 'a' }, { routingKey: 'eu.created.today' });
    await producer.send({ id: 'b' }, { routingKey: 'us.created' });

    await expect.poll(() => seen.toSorted()).toEqual(['first a', 'second a']);
    const queues = await vhost.management.queues();
    expect(queues).toHaveLength(2);
    for (const { exclusive, name } of queues)
      expect({ exclusive, name }).toEqual({ exclusive: true, name: expect.stringMatching(/^orders\./) });
  });

  it('leaves nothing on the server when its consumer is closed', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const consumer = broker.consumer(orders().subscription(['eu.#', 'us.#']), () => {});
    await consumer.ready;
    expect(await vhost.management.queues()).toHaveLength(1);

    await consumer.close();

    await expect.poll(() => vhost.management.queues()).toEqual([]);
  });

  it('comes back after the connection is lost', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    const seen: string[] = [];
    const consumer = broker.consumer(orders().subscription('#'), ({ body }) => seen.push(body.id));
    await consumer.ready;
    const recovered = new Promise((resolve) => broker.on('consumer-recovered', resolve));

    proxy.cutAll();
    await recovered;
    await broker.producer(orders()).send({ id: 'after' }, { routingKey: 'eu', mandatory: true });

    await expect.poll(() => seen).toEqual(['after']);
  });

  it('names a wrong option when it is made', () => {
    expect(() => orders().subscription('#', { durable: true } as object)).toThrow(ConfigurationError);
    expect(() => orders().subscription([])).toThrow(/at least one routing key/);
    expect(() => orders().queue('billing', [])).toThrow(/at least one routing key/);
  });
});
