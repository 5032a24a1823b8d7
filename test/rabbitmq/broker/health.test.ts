import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const numbers = queue('numbers', z.object({ n: z.number() }));

describe('the health of a broker', () => {
  it('is down before it is connected and after it is closed', async () => {
    await using vhost = await createVhost();
    const broker = new Broker(vhost.url);
    expect(broker.health()).toEqual({
      status: 'down',
      connections: [],
      consumers: [],
      producers: [],
      relays: [],
    });
    await broker.connect();
    expect(broker.health()).toEqual({
      status: 'up',
      connections: [
        {
          role: 'publish',
          status: 'open',
          address: expect.stringContaining(new URL(vhost.url).host),
          blocked: undefined,
          error: undefined,
        },
      ],
      consumers: [],
      producers: [],
      relays: [],
    });
    await broker.close();
    expect(broker.health()).toMatchObject({ status: 'down', consumers: [], producers: [] });
  });

  it('tells of each consumer and producer what it is doing', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    using working = gate();
    const producer = broker.producer(numbers);
    const consumer = broker.consumer(numbers, () => working.opened, { concurrency: 2 });
    await consumer.ready;
    expect(broker.health()).toMatchObject({
      status: 'up',
      consumers: [{ queue: 'numbers', state: 'running', lastDeliveryAt: undefined, inFlight: 0 }],
      producers: [{ target: 'numbers', pending: 0, inFlight: 0 }],
    });

    const before = Date.now();
    const sent = [1, 2, 3].map((n) => producer.send({ n }));
    expect(broker.health().producers).toMatchObject([{ pending: 3 }]);
    await Promise.all(sent);
    expect(broker.health().producers).toMatchObject([{ pending: 0, inFlight: 0 }]);
    await expect.poll(() => broker.health().consumers).toMatchObject([{ inFlight: 2 }]);
    const { lastDeliveryAt } = broker.health().consumers[0] ?? {};
    expect(lastDeliveryAt?.getTime()).toBeGreaterThanOrEqual(before);
    expect(lastDeliveryAt?.getTime()).toBeLessThanOrEqual(Date.now());
    working.open();
    await expect.poll(() => broker.health().consumers).toMatchObject([{ inFlight: 0 }]);

    await consumer.pause();
    expect(broker.health()).toMatchObject({ status: 'up', consumers: [{ state: 'paused' }] });
    await consumer.close();
    await producer.close();
    expect(broker.health()).toMatchObject({ status: 'up', consumers: [], producers: [] });
  });

  it('is down while no connection is open, and up again afterwards', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 10 } });
    await broker.consumer(numbers, () => undefined).ready;
    await proxy.refuse(true);
    proxy.cutAll();
    await expect
      .poll(() => broker.health())
      .toMatchObject({
        status: 'down',
        connections: [
          { role: 'publish', error: expect.stringContaining('ECONNREFUSED') },
          { role: 'consume', error: expect.stringContaining('ECONNREFUSED') },
        ],
        consumers: [{ state: 'recovering' }],
      });
    await proxy.refuse(false);
    await expect.poll(() => broker.health().status, { timeout: 5_000 }).toBe('up');
    expect(broker.health().consumers).toMatchObject([{ state: 'running' }]);
  });

  it('is degraded while one of its two connections is lost', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = new Broker(proxy.via(vhost.url));
    await broker.consumer(numbers, () => undefined).ready;
    await broker.producer(numbers).send({ n: 1 });
    expect(broker.health().status).toBe('up');
    await proxy.refuse(true);
    proxy.cut(2);
    await expect.poll(() => broker.health().status).toBe('degraded');
    expect(broker.health().connections).toMatchObject([
      { role: 'publish', status: expect.stringMatching(/waiting|connecting/), error: expect.any(String) },
      { role: 'consume', status: 'open' },
    ]);
    expect(broker.state.status).toBe('reconnecting');
    await proxy.refuse(false);
    await expect.poll(() => broker.health().status, { timeout: 5_000 }).toBe('up');
  });

  it('is degraded while a consumer cannot consume', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const passive = queue('checked', z.string(), { declare: 'passive', type: 'classic', deadLetter: false });
    await broker.declare(queue('checked', z.string(), { type: 'classic', deadLetter: false }));
    const consumer = broker.consumer(passive, () => undefined);
    await consumer.ready;
    await vhost.management.deleteQueue('checked');
    await expect.poll(() => broker.health().status).toBe('degraded');
    expect(broker.health().consumers).toMatchObject([{ queue: 'checked', state: 'recovering' }]);
    await broker.declare(queue('checked', z.string(), { type: 'classic', deadLetter: false }));
    await expect.poll(() => broker.health().status, { timeout: 10_000 }).toBe('up');
  });
});
