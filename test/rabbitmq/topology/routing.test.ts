import { Broker, type Contract, exchange, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { createVhost } from '../../helpers/server/index.js';

const order = z.object({ id: z.string() });
const light = { type: 'classic', deadLetter: false } as const;

/** What is in a queue: the ids of the orders. */
async function idsIn(url: string, name: string, count: number): Promise<string[]> {
  await using other = await otherClient(url);
  const taken = await other.takeAll(name, count);
  return taken.map(({ content }) => (JSON.parse(content.toString()) as { id: string }).id);
}

async function declared(url: string, ...contracts: Contract[]): Promise<Broker> {
  const broker = await Broker.connect(url);
  await broker.declare(...contracts);
  return broker;
}

describe('an exchange', () => {
  it('of type topic routes by pattern to each queue that is bound', async () => {
    await using vhost = await createVhost();
    const orders = exchange('orders', order, { type: 'topic' });
    const europe = orders.queue('europe', 'eu.*', light);
    const paid = orders.queue('paid', ['*.paid', 'us.#'], light);
    await using broker = await declared(vhost.url, europe, paid);
    const producer = broker.producer(orders);
    await producer.send({ id: '1' }, { routingKey: 'eu.paid', mandatory: true });
    await producer.send({ id: '2' }, { routingKey: 'eu.sent', mandatory: true });
    await producer.send({ id: '3' }, { routingKey: 'us.east.sent', mandatory: true });
    await producer.send({ id: '4' }, { routingKey: 'asia.sent' });
    expect(await idsIn(vhost.url, 'europe', 2)).toEqual(['1', '2']);
    expect(await idsIn(vhost.url, 'paid', 2)).toEqual(['1', '3']);
  });

  it('of type direct routes by the exact key', async () => {
    await using vhost = await createVhost();
    const levels = exchange('levels', order, { type: 'direct' });
    const high = levels.queue('high', 'high', light);
    const all = levels.queue('all', ['high', 'low'], light);
    await using broker = await declared(vhost.url, high, all);
    const producer = broker.producer(levels);
    await producer.send({ id: '1' }, { routingKey: 'high' });
    await producer.send({ id: '2' }, { routingKey: 'low' });
    await producer.send({ id: '3' }, { routingKey: 'hi*' });
    expect(await idsIn(vhost.url, 'high', 1)).toEqual(['1']);
    expect(await idsIn(vhost.url, 'all', 2)).toEqual(['1', '2']);
  });

  it('of type fanout gives everything to everybody', async () => {
    await using vhost = await createVhost();
    const news = exchange('news', order, { type: 'fanout' });
    await using broker = await declared(vhost.url, news.queue('left', light), news.queue('right', light));
    await broker.producer(news).send({ id: '1' });
    expect(await idsIn(vhost.url, 'left', 1)).toEqual(['1']);
    expect(await idsIn(vhost.url, 'right', 1)).toEqual(['1']);
  });

  it('of type headers routes by what the headers hold', async () => {
    await using vhost = await createVhost();
    const jobs = exchange('jobs', order, { type: 'headers' });
    const both = jobs.queue('both', { 'x-match': 'all', format: 'pdf', pages: 2 }, light);
    const either = jobs.queue('either', { 'x-match': 'any', format: 'pdf', pages: 2 }, light);
    await using broker = await declared(vhost.url, both, either);
    const producer = broker.producer(jobs);
    await producer.send({ id: '1' }, { headers: { format: 'pdf', pages: 2 } });
    await producer.send({ id: '2' }, { headers: { format: 'pdf', pages: 3 } });
    await producer.send({ id: '3' }, { headers: { format: 'png' } });
    expect(await idsIn(vhost.url, 'both', 1)).toEqual(['1']);
    expect(await idsIn(vhost.url, 'either', 2)).toEqual(['1', '2']);
  });

  it('gives its consumers typed messages, and tells them where they came from', async () => {
    await using vhost = await createVhost();
    const orders = exchange('orders', order, { type: 'topic' });
    await using broker = await Broker.connect(vhost.url);
    const got: unknown[] = [];
    const consumer = broker.consumer(orders.queue('billing', 'eu.*'), ({ body, exchange, routingKey }) => {
      got.push([body.id, exchange, routingKey]);
    });
    await consumer.ready;
    await broker.producer(orders).send({ id: '1' }, { routingKey: 'eu.paid' });
    await expect.poll(() => got).toEqual([['1', 'orders', 'eu.paid']]);
  });

  it('hands what no queue takes to its alternate exchange, given as a contract or by name', async () => {
    await using vhost = await createVhost();
    const unrouted = exchange('unrouted', order, { type: 'fanout' });
    const orders = exchange('orders', order, { type: 'direct', alternateExchange: unrouted });
    const others = exchange('others', order, { type: 'direct', alternateExchange: 'unrouted' });
    await using broker = await declared(vhost.url, unrouted.queue('strays', light), orders, others);
    await broker.producer(orders).send({ id: '1' }, { routingKey: 'unbound', mandatory: true });
    await broker.producer(others).send({ id: '2' }, { routingKey: 'unbound', mandatory: true });
    expect(await idsIn(vhost.url, 'strays', 2)).toEqual(['1', '2']);
  });

  it('is declared as its contract says', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(
      exchange('lasting', order),
      exchange('passing', order, { type: 'fanout', durable: false, autoDelete: true }),
      exchange('with-alternate', order, { alternateExchange: 'passing' }),
    );
    const exchanges = await vhost.management.exchanges();
    expect(exchanges).toContainEqual(
      expect.objectContaining({
        name: 'lasting',
        type: 'topic',
        durable: true,
        auto_delete: false,
        arguments: {},
      }),
    );
    expect(exchanges).toContainEqual(
      expect.objectContaining({ name: 'passing', type: 'fanout', durable: false, auto_delete: true }),
    );
    expect(exchanges).toContainEqual(
      expect.objectContaining({ name: 'with-alternate', arguments: { 'alternate-exchange': 'passing' } }),
    );
  });
});

describe('a queue', () => {
  it('is bound to exchanges given as contracts, which are declared with it, and by name', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await other.channel.assertExchange('foreign', 'headers');
    const orders = exchange('orders', order, { type: 'direct' });
    const inbox = queue('inbox', order, {
      ...light,
      bindings: [
        { exchange: orders, routingKey: 'a' },
        { exchange: orders, routingKey: 'b' },
        { exchange: 'foreign', arguments: { 'x-match': 'all', kind: 'order' } },
      ],
    });
    await using broker = await declared(vhost.url, inbox);
    await broker.producer(orders).send({ id: '1' }, { routingKey: 'a', mandatory: true });
    await broker.producer(orders).send({ id: '2' }, { routingKey: 'b', mandatory: true });
    await broker.producer(inbox).send({ id: '3' });
    other.channel.publish('foreign', '', Buffer.from('{"id":"4"}'), { headers: { kind: 'order' } });
    await other.channel.waitForConfirms();
    expect(await idsIn(vhost.url, 'inbox', 4)).toEqual(['1', '2', '3', '4']);
  });

  it('gets back its bindings together with itself', async () => {
    await using vhost = await createVhost();
    const orders = exchange('orders', order, { type: 'topic' });
    const inbox = orders.queue('inbox', '#', light);
    await using broker = await Broker.connect(vhost.url);
    const got: string[] = [];
    await broker.consumer(inbox, ({ body }) => void got.push(body.id)).ready;
    await vhost.management.deleteQueue('inbox');
    const producer = broker.producer(orders);
    const sendUntilTaken = () =>
      producer.send({ id: 'again' }, { routingKey: 'k', mandatory: true }).then(
        () => true,
        () => false,
      );
    await expect.poll(sendUntilTaken, { timeout: 5_000 }).toBe(true);
    await expect.poll(() => got).toContain('again');
  });
});
