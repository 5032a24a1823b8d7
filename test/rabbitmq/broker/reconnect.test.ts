import { Broker, type Consumer, queue } from 'leveret';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const numbers = queue('numbers', z.object({ n: z.number() }));

/** A broker with both connections open, through a proxy. */
async function connectedThrough(proxy: TcpProxy, url: string, heartbeatSeconds = 10) {
  const broker = await Broker.connect(proxy.via(url), {
    heartbeatSeconds,
    reconnect: { initialDelayMs: 50 },
  });
  const handled: number[] = [];
  const consumer: Consumer = broker.consumer(numbers, ({ body }) => void handled.push(body.n));
  await consumer.ready;
  const producer = broker.producer(numbers);
  await producer.send({ n: 0 });
  await expect.poll(() => handled).toEqual([0]);
  return { broker, consumer, producer, handled, [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose]() };
}

afterEach(() => void vi.restoreAllMocks());

describe('a broker whose connections are lost', () => {
  it.each([
    ['reset', (proxy: TcpProxy) => proxy.cutAll()],
    ['ended in order', (proxy: TcpProxy) => proxy.endAll()],
  ])('tells of one outage and goes on by itself when they are %s', async (_how, lose) => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using it = await connectedThrough(proxy, vhost.url);
    const events = recordEvents(it.broker);
    lose(proxy);
    await it.producer.send({ n: 1 });
    await expect.poll(() => it.handled).toContain(1);

    await expect.poll(() => it.broker.state.status).toBe('connected');
    expect(events.of('disconnected')).toEqual([
      {
        connection: expect.stringMatching(/publish|consume/),
        error: expect.any(Error),
        delayMs: expect.any(Number),
      },
    ]);
    expect(events.of('connected')).toEqual([{ address: expect.stringContaining(`127.0.0.1:${proxy.port}`) }]);
    expect(events.of('consumer-recovered')).toEqual([
      { queue: 'numbers', downMs: expect.any(Number), reason: expect.any(String) },
    ]);
    expect(proxy.accepted).toBe(4);
  });

  it('tells of one outage when the server closes them all', async () => {
    await using vhost = await createVhost();
    // The delay is drawn at random: long enough for both to be closed before either is back.
    vi.spyOn(Math, 'random').mockReturnValue(0.9);
    await using broker = await Broker.connect(vhost.url, { reconnect: { initialDelayMs: 1_000 } });
    const handled: number[] = [];
    await broker.consumer(numbers, ({ body }) => void handled.push(body.n)).ready;
    await expect.poll(async () => (await vhost.management.connections()).length, { timeout: 15_000 }).toBe(2);
    const events = recordEvents(broker);
    const connections = await vhost.management.connections();
    await Promise.all(connections.map(({ name }) => vhost.management.closeConnection(name)));

    await expect.poll(() => events.of('connected').length, { timeout: 5_000 }).toBe(1);
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => handled).toEqual([1]);
    expect(events.of('connected').length).toBe(1);
    expect(events.of('disconnected').length).toBe(1);
    expect(events.of('disconnected')[0]?.error.message).toMatch(/closed by a test|320|CONNECTION.FORCED/);
  });

  it.each([
    ['nothing passes', true],
    ['nothing comes back', 'to-client'],
  ] as const)('notices by its heartbeat that %s, and drops the dead sockets', async (_what, direction) => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using it = await connectedThrough(proxy, vhost.url, 1);
    const events = recordEvents(it.broker);
    const startedAt = performance.now();
    proxy.blackhole(direction);
    await expect.poll(() => events.of('disconnected').length, { timeout: 10_000 }).toBe(1);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    proxy.blackhole(false);
    await it.producer.send({ n: 1 });
    await expect.poll(() => it.handled).toContain(1);
    // What was held back has passed; a socket that was only half closed would stay.
    await expect.poll(() => proxy.connections).toBe(2);
  });

  it('is back soon after a server that refused connections takes them again', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using it = await connectedThrough(proxy, vhost.url);
    const events = recordEvents(it.broker);
    await proxy.refuse(true);
    proxy.cutAll();
    await expect.poll(() => events.of('connect-failed').length, { timeout: 5_000 }).toBeGreaterThan(6);
    expect(it.broker.state).toMatchObject({ status: 'reconnecting', error: { code: 'CONNECTION_FAILED' } });
    expect(it.broker.health().status).toBe('down');

    await proxy.refuse(false);
    const openedAt = performance.now();
    await it.producer.send({ n: 1 });
    await expect.poll(() => it.handled).toContain(1);
    expect(performance.now() - openedAt).toBeLessThan(1_500);
    expect(events.of('disconnected').length).toBe(1);
    expect(events.of('connected').length).toBe(1);
  });

  it('moves to another host when its own does not come back', async () => {
    await using vhost = await createVhost();
    await using first = await TcpProxy.listen(vhost.url);
    await using second = await TcpProxy.listen(vhost.url);
    vi.spyOn(Math, 'random').mockReturnValue(0.99);
    await using broker = await Broker.connect([first.via(vhost.url), second.via(vhost.url)]);
    expect(broker.state).toMatchObject({ address: expect.stringContaining(`${first.port}`) });
    await first.refuse(true);
    first.cutAll();
    await broker.producer(numbers).send({ n: 1 });
    expect(broker.state).toMatchObject({ address: expect.stringContaining(`${second.port}`) });
  });

  it('goes through one outage after the other', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using it = await connectedThrough(proxy, vhost.url);
    const events = recordEvents(it.broker);
    for (const n of [1, 2, 3]) {
      proxy.cutAll();
      await it.producer.send({ n });
      await expect.poll(() => it.handled).toContain(n);
      await expect.poll(() => it.broker.state.status).toBe('connected');
      expect(events.names.filter((name) => name !== 'consumer-recovered').slice(2 * n - 2)).toEqual([
        'disconnected',
        'connected',
      ]);
    }
  });
});

describe('a listener', () => {
  it('that throws, or rejects, breaks nothing and does not silence the others', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const logged: unknown[] = [];
    const log = (details: object, message: string) => void logged.push([message, details]);
    const logger = { debug: log, info: log, warn: log, error: log };
    await using broker = await Broker.connect(proxy.via(vhost.url), {
      logger,
      reconnect: { initialDelayMs: 10 },
    });
    const thrown = new Error('a listener of the test');
    const rejected = new Error('an asynchronous listener of the test');
    const rejecting = (): unknown => Promise.reject(rejected);
    for (const name of ['disconnected', 'connected', 'consumer-recovered', 'handler-error'] as const) {
      broker.on(name, () => {
        throw thrown;
      });
      broker.on(name, rejecting);
    }
    const events = recordEvents(broker);
    const handled: number[] = [];
    const failing = queue('failing', z.object({ n: z.number() }), { retry: { initialDelayMs: 1 } });
    await broker.consumer(failing, ({ body }) => {
      if (handled.push(body.n) === 1) throw new Error('the first time');
    }).ready;
    await broker.producer(failing).send({ n: 1 });
    await expect.poll(() => handled).toEqual([1, 1]);
    proxy.cutAll();
    await broker.producer(failing).send({ n: 2 });
    await expect.poll(() => handled).toContain(2);
    expect(events.names).toEqual(expect.arrayContaining(['handler-error', 'disconnected', 'connected']));
    for (const err of [thrown, rejected])
      expect(logged).toContainEqual(['a listener threw', expect.objectContaining({ err })]);
  });

  it('is not called any more once it was taken off', async () => {
    await using vhost = await createVhost();
    const listener = vi.fn();
    await using broker = new Broker(vhost.url);
    broker.on('connected', listener).off('connected', listener);
    await broker.connect();
    expect(listener).not.toHaveBeenCalled();
  });

  it('of an event that does not exist is refused', async () => {
    await using broker = new Broker();
    // @ts-expect-error There is no such event.
    expect(() => broker.on('error', () => undefined)).toThrow(/no event 'error'/);
  });
});
